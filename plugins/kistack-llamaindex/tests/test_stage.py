import os
import signal
import subprocess
import sys
import time

import pytest
from kistack_llamaindex.settings import RetrieverSettings
from kistack_llamaindex.stage import LlamaIndexRetriever
from kistack_torch.embedding.testing import WORDS

from kistack.domain.artifacts import Type
from kistack.errors import DataError
from kistack.testing import LocalContext, run_stage

from .conftest import DOCUMENTS, write_corpus

STAGE = LlamaIndexRetriever()


def files(artifact):
    return {f.name: f.read_bytes() for f in artifact.path.iterdir()}


def many(count):
    return [
        {"id": f"d{n}", "title": "", "text": " ".join(WORDS[(n * 7 + k * (1 + n % 5)) % len(WORDS)] for k in range(12))}
        for n in range(count)
    ]


def test_traits_say_what_travels_with_the_index():
    traits = STAGE.traits(RetrieverSettings())
    assert set(traits.consumes) == {"corpus", "embedder"}
    assert all(port.hint for port in traits.consumes.values())
    assert traits.produces["index"].requires == ("embedder",)
    assert traits.produces["index"].serve
    assert traits.opens[0].gives == ("search",)
    assert traits.deterministic


def test_an_index_with_its_facts(build):
    index, context = build()
    assert index.format == "llamaindex"
    assert index.fact("count") == 4
    assert index.fact("documents") == 4
    assert index.fact("dimension") == 32
    assert index.fact("passages") == 3
    assert index.fact("bytes") == sum(map(len, files(index).values()))
    assert 10 < index.fact("passage_tokens") < 25
    assert [a.kind for a in index.requires] == ["embedder"]
    assert context.lines == ["1 documents without text are left out of the index"]
    assert context.reports[-1]["done"] == 4
    assert context.reports[-1]["passages_per_second"] > 0


def test_the_same_documents_make_the_same_bytes(build):
    assert files(build(many(100), name="a")[0]) == files(build(many(100), name="b")[0])


def test_long_documents_become_several_passages(build):
    long = [{"id": "long", "title": "King", "text": "The old king of the red castle. " * 30}]
    index, context = build(long)
    assert index.fact("count") > 4
    assert "46 tokens" in context.lines[0]


def test_no_text_at_all_is_refused(build):
    with pytest.raises(DataError, match="no document has any text"):
        build([DOCUMENTS[2]])


def test_a_killed_build_goes_on_and_leaves_the_same_bytes(tmp_path, build, embedder):
    settings = RetrieverSettings(batch=1)
    rows = many(400)
    undisturbed, _ = build(rows, settings, "undisturbed")
    corpus = write_corpus(tmp_path / "killed/corpus", rows)
    code = f"""
from pathlib import Path
from kistack.domain.artifacts import Artifact
from kistack.testing import LocalContext, run_stage
from kistack_llamaindex.stage import LlamaIndexRetriever
from kistack_llamaindex.settings import RetrieverSettings
class Slow(LocalContext):
    def progress(self, done, total, unit="", **numbers):
        import time
        time.sleep(0.05)
corpus = Artifact("corpus", "jsonl", Path({str(corpus.path)!r}), "", "")
embedder = Artifact("embedder", "sentence-transformers", Path({str(embedder.path)!r}), "digest-of-embedder", "")
given = {{"corpus": corpus, "embedder": embedder}}
run_stage(LlamaIndexRetriever(), Slow(Path({str(tmp_path / "killed")!r}), given), RetrieverSettings(batch=1))
"""
    child = subprocess.Popen([sys.executable, "-c", code])
    partial = tmp_path / "killed/scratch/vectors.f32"
    deadline = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < deadline:
        if partial.exists() and partial.stat().st_size > 4 * 32 * 16:
            break
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    left = partial.stat().st_size // (4 * 32)
    assert 16 <= left < 400
    context = LocalContext(tmp_path / "killed", {"corpus": corpus, "embedder": embedder})
    resumed = run_stage(STAGE, context, settings)["index"]
    assert files(resumed) == files(undisturbed)
    assert len(context.reports) == (400 - left // 8 * 8) / 8


@pytest.mark.parametrize(("tokens", "expected"), [(20_000, 2), (400_000, 3)])
def test_suggestions_are_few_and_depend_on_how_long_documents_are(profile, tokens, expected):
    inputs = {"corpus": Type("corpus", "jsonl", facts={"count": 1000, "tokens": tokens})}
    found = STAGE.suggest(profile, inputs)
    assert len(found) == expected
    assert [s.top_k for s in found[:2]] == [3, 5]
    assert STAGE.suggest(profile, {})[0] == RetrieverSettings()


def test_only_the_number_of_passages_can_change_after_building():
    assert STAGE.open_settings == {"top_k"}
    assert STAGE.open_settings <= set(RetrieverSettings.model_fields)
