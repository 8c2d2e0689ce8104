import os
import signal
import subprocess
import sys
import time

import pytest
import toys
from facts import small_profile
from kistack_haystack.settings import RetrieverSettings
from kistack_haystack.stage import HaystackRetriever

from kistack.composition.composer import compose
from kistack.domain.artifacts import Type
from kistack.domain.plan import Plan, Step
from kistack.errors import DataError, InvalidInput
from kistack.plugins.host import load_host
from kistack.testing import LocalContext, run_stage

from .conftest import DOCUMENTS, files, many, write_corpus

STAGE = HaystackRetriever()
CORPUS = Type("corpus", "jsonl", facts={"count": 100, "tokens": 2000, "bytes": 9000})
EMBEDDER = Type("embedder", "sentence-transformers", facts={"params": 22.7e6, "hidden": 384})


def test_words_alone_need_no_embedder_and_no_torch():
    traits = STAGE.traits(RetrieverSettings(method="bm25"))
    assert set(traits.consumes) == {"corpus"}
    assert traits.produces["index"].requires == ()
    assert traits.packages == ("haystack",)


@pytest.mark.parametrize("method", ["embedding", "hybrid"])
def test_an_index_by_meaning_travels_with_its_embedder(method):
    traits = STAGE.traits(RetrieverSettings(method=method))
    assert set(traits.consumes) == {"corpus", "embedder"}
    assert all(port.hint and not port.optional for port in traits.consumes.values())
    assert traits.produces["index"].requires == ("embedder",)
    assert "kistack_torch" in traits.packages
    assert traits.deterministic


def test_the_method_follows_the_scenario_where_nobody_names_one(profile):
    with_one, without = ({"corpus": CORPUS, "embedder": EMBEDDER}, {"corpus": CORPUS})
    assert STAGE.traits(RetrieverSettings()).consumes["embedder"].optional
    assert STAGE.resolve(RetrieverSettings(top_k=5), profile, with_one) == RetrieverSettings(method="hybrid", top_k=5)
    assert STAGE.resolve(RetrieverSettings(), profile, without) == RetrieverSettings(method="bm25")
    named = RetrieverSettings(method="embedding")
    assert STAGE.resolve(named, profile, with_one) == named


def test_suggestions_do_without_an_embedder_where_there_is_none(profile):
    with_one = STAGE.suggest(profile, {"corpus": CORPUS, "embedder": EMBEDDER})
    assert [(s.method, s.top_k) for s in with_one] == [("hybrid", 3), ("hybrid", 5)]
    assert [(s.method, s.top_k) for s in STAGE.suggest(profile, {})] == [("bm25", 3), ("bm25", 5)]


def test_it_leaves_the_usual_retriever_what_it_is():
    assert all(STAGE.traits(RetrieverSettings(method=m)).opt_in for m in ("auto", "bm25", "hybrid"))


def test_only_what_ranks_can_change_after_building():
    assert STAGE.open_settings == {"top_k", "bm25_weight", "candidates"}
    assert STAGE.open_settings <= set(RetrieverSettings.model_fields)


# --- in a plan


@pytest.fixture
def host():
    from kistack_haystack import hooks

    return load_host(entry_points=False, extra={"toys": toys, "haystack": hooks})


def retriever(host, *, embedder, **settings):
    """The node of the retriever in a plan, composed for a scenario with or without an embedder."""
    given = {"reference": "toy:e", "format": "sentence-transformers", "identity": "e"} if embedder else {}
    profile = small_profile(**{f"embedder.{name}": value for name, value in given.items()})
    pipeline = compose(Plan(steps=(Step(use="retrieve/haystack", **{"with": settings}),)), profile, host)
    return next(n for n in pipeline.nodes if n.stage.name == "retrieve/haystack")


def test_without_an_embedder_a_plan_retrieves_by_words(host):
    node = retriever(host, embedder=False)
    assert node.settings.method == "bm25"
    assert set(node.inputs) == {"corpus"}


def test_by_meaning_without_an_embedder_is_refused_with_the_way_out(host):
    with pytest.raises(InvalidInput) as caught:
        retriever(host, embedder=False, method="hybrid")
    assert "method: bm25" in caught.value.problems[0].hint


# --- runs


def test_an_index_by_words_with_its_facts(build):
    index, context = build(method="bm25")
    assert index.format == "haystack"
    assert (index.fact("count"), index.fact("documents"), index.fact("dimension")) == (4, 4, 0)
    assert index.fact("bytes") == sum(map(len, files(index).values()))
    assert 10 < index.fact("passage_tokens") < 20
    assert index.requires == ()
    assert set(files(index)) == {"documents.json", "index.json"}
    assert context.lines == ["1 documents without text are left out of the index"]
    assert (context.reports[-1]["done"], context.reports[-1]["total"]) == (4, 4)


def test_an_index_by_both_with_its_facts(build):
    index, context = build()
    assert (index.fact("count"), index.fact("dimension"), index.fact("passages")) == (4, 32, 3)
    assert index.fact("bytes") == sum(map(len, files(index).values()))
    assert [a.kind for a in index.requires] == ["embedder"]
    assert set(files(index)) == {"documents.json", "index.json", "vectors.npy"}
    assert context.reports[-1]["passages_per_second"] > 0


@pytest.mark.parametrize("method", ["bm25", "hybrid"])
def test_the_same_documents_make_the_same_bytes(build, method):
    assert files(build(many(100), "a", method=method)[0]) == files(build(many(100), "b", method=method)[0])


def test_words_are_indexed_and_found_where_kistack_torch_is_not_installed(tmp_path, build):
    here, _ = build(many(20), method="bm25")
    corpus = write_corpus(tmp_path / "there/corpus", many(20))
    code = f"""
import sys
sys.modules["kistack_torch"] = None
from pathlib import Path
from kistack.domain.artifacts import Artifact, Type
from kistack.domain.facts import Profile
from kistack.plugins.stages import Load
from kistack.testing import LocalContext, run_stage
from kistack_haystack.stage import HaystackRetriever
stage, corpus = HaystackRetriever(), Artifact("corpus", "jsonl", Path({str(corpus.path)!r}), "", "")
settings = stage.resolve(stage.Settings(), Profile({{}}), {{"corpus": Type("corpus")}})
assert stage.estimate(settings, Profile({{}}), {{"corpus": Type("corpus")}}).cost("seconds") > 0
assert stage.serving(settings, Profile({{}}), Type("index"), Load()).cost("query_seconds") > 0
context = LocalContext(Path({str(tmp_path / "there")!r}), {{"corpus": corpus}})
index = run_stage(stage, context, settings)["index"]
assert stage.open(settings, index, {{}}).search(["king castle"])[0]
heavy = {{"torch", "transformers", "tokenizers"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert {f.name: f.read_bytes() for f in (tmp_path / "there/out/index").iterdir()} == files(here)


def test_passages_that_the_embedder_cuts_off_are_told(build):
    long = [{"id": "long", "title": "King", "text": "The old king of the red castle. " * 30}]
    index, context = build(long)
    assert index.fact("count") > 1
    assert "longer than the 46 tokens that the embedder reads" in context.lines[0]
    assert build(long, "shorter", split_length=30)[1].lines == []


def test_no_text_at_all_is_refused(build):
    with pytest.raises(DataError, match="no document has any text"):
        build([DOCUMENTS[2]], method="bm25")


def test_a_killed_build_goes_on_and_leaves_the_same_bytes(tmp_path, build, embedder):
    settings = RetrieverSettings(batch=1)
    undisturbed, _ = build(many(400), "undisturbed", batch=1)
    corpus = write_corpus(tmp_path / "killed/corpus", many(400))
    code = f"""
from pathlib import Path
from kistack.domain.artifacts import Artifact
from kistack.testing import LocalContext, run_stage
from kistack_haystack.stage import HaystackRetriever
from kistack_haystack.settings import RetrieverSettings
class Slow(LocalContext):
    def progress(self, done, total, unit="", **numbers):
        import time
        time.sleep(0.05)
corpus = Artifact("corpus", "jsonl", Path({str(corpus.path)!r}), "", "")
embedder = Artifact("embedder", "sentence-transformers", Path({str(embedder.path)!r}), "digest-of-embedder", "")
given = {{"corpus": corpus, "embedder": embedder}}
run_stage(HaystackRetriever(), Slow(Path({str(tmp_path / "killed")!r}), given), RetrieverSettings(batch=1))
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
