from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from kistack_transformers import hub

from kistack.errors import ModelError

COMMIT = "a" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def put_into(cache: Path, folder: Path, *, revision: str = "main", commit: str = COMMIT) -> Path:
    root = cache / "models--org--tiny"
    snapshot = root / "snapshots" / commit
    shutil.copytree(folder, snapshot)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / revision).write_text(commit)
    return snapshot


def test_a_cached_model_is_found_by_branch_and_by_commit(cache, model_folder):
    snapshot = put_into(cache, model_folder)
    assert hub.cached("org/tiny") == snapshot
    assert hub.cached("org/tiny", "main") == snapshot
    assert hub.cached("org/tiny", COMMIT) == snapshot
    assert hub.cached("org/tiny", "v2") is None
    assert hub.cached("org/other") is None
    assert hub.commit("org/tiny") == COMMIT


def test_a_model_without_all_its_weights_is_not_cached(cache, model_folder):
    snapshot = put_into(cache, model_folder)
    (snapshot / "model.safetensors").rename(snapshot / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    assert hub.cached("org/tiny") is None
    (snapshot / "model-00002-of-00002.safetensors").touch()
    assert hub.cached("org/tiny") == snapshot
    (snapshot / "model.safetensors.index.json").write_text("{}")
    assert hub.cached("org/tiny") is None


def test_offline_and_not_cached_says_so(cache):
    for ask in (hub.commit, hub.peek, hub.fetch):
        with pytest.raises(ModelError, match="cannot be reached") as caught:
            ask("org/tiny")
        assert "kistack models fetch" in caught.value.hint


def ask_online(server: SimpleNamespace, home: Path, code: str) -> str:
    """Run ``code`` with the hub of the test: the library reads its address once, when it is imported."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {"HF_ENDPOINT": server.url, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    script = "from kistack_transformers import hub\nfrom kistack_transformers.sources import HubSource\n" + code
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_a_network_one_remedy_is_told(tmp_path):
    nowhere = SimpleNamespace(url="http://127.0.0.1:9")
    code = """
from kistack.errors import ModelError
for ask in (hub.commit, hub.peek, hub.fetch):
    try:
        ask("org/tiny")
    except ModelError as e:
        print(e.message.partition(" (")[0], "|", e.hint.partition(" (")[0])
"""
    said = ask_online(nowhere, tmp_path, code).splitlines()
    assert (
        said
        == ["hub:org/tiny: not in the local cache, and the hub cannot be reached | fetch it where there is a network"]
        * 3
    )


def test_peek_fetches_small_files_and_fetch_the_rest(hub_server, tmp_path):
    code = """
source = HubSource()
settings = source.claims("hub:org/tiny")
print(source.traits(settings).network)
found = source.inspect(settings)
print(int(found.fact("params")), found.facets["precision"], found.kind)
resolved = source.resolve(settings, None, {})
print(resolved.revision, resolved.role, source.licence(settings), hub.cached("org/tiny"))
print(source.fetch(resolved).name)
print(source.traits(resolved).network, source.licence(resolved), source.inspect(resolved) == found)
"""
    lines = ask_online(hub_server, tmp_path, code).splitlines()
    assert lines == ["True", "47392 fp32 model", f"{COMMIT} model MIT None", COMMIT, "False MIT True"]
    fetched = [line.rpartition("/")[2] for line in hub_server.asked if line.startswith("GET") and "/resolve/" in line]
    assert fetched.count("model.safetensors") == 1
    assert fetched.index("model.safetensors") > fetched.index("config.json")
    assert "pytorch_model.bin" not in fetched


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        ("org/none", "no such model", "check its name"),
        ("org/gated", "consent", "accept its terms"),
    ],
)
def test_what_the_hub_refuses_has_one_remedy(hub_server, tmp_path, reference, message, hint):
    code = f"""
from kistack.errors import ModelError
try:
    hub.commit({reference!r})
except ModelError as e:
    print(e.message, "|", e.hint)
"""
    said = ask_online(hub_server, tmp_path, code)
    assert message in said
    assert hint in said


def test_an_unknown_revision_is_told_from_an_unknown_model(hub_server, tmp_path):
    code = """
from kistack.errors import ModelError
for ask in (hub.commit, hub.peek, hub.fetch):
    try:
        ask("org/tiny", "v9")
    except ModelError as e:
        print(e.message)
"""
    assert ask_online(hub_server, tmp_path, code).splitlines() == ["hub:org/tiny: no such revision"] * 3
