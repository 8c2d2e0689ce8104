import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_haystack.costs import count_passages
from kistack_haystack.settings import RetrieverSettings
from kistack_haystack.stage import HaystackRetriever

from kistack.domain.artifacts import Type
from kistack.plugins.stages import Load

STAGE = HaystackRetriever()
EMBEDDER = Type(
    "embedder",
    "sentence-transformers",
    facts={"params": 22.7e6, "hidden": 384, "vocab": 30522, "bytes": 91e6},
)
METHODS = ["bm25", "embedding", "hybrid"]


def corpus(documents, tokens):
    return Type("corpus", "jsonl", facts={"count": documents, "tokens": tokens, "bytes": 4.5 * tokens})


def estimate(profile, documents=1312, tokens=26_000, **settings):
    inputs = {"corpus": corpus(documents, tokens)}
    if settings.get("method") != "bm25":
        inputs["embedder"] = EMBEDDER
    return STAGE.estimate(RetrieverSettings(**settings), profile, inputs)


def test_short_documents_are_one_passage_each():
    assert count_passages(RetrieverSettings(), 1000, 50_000) == (1000, 50)


def test_long_documents_are_several():
    passages, tokens = count_passages(RetrieverSettings(split_length=100, split_overlap=20), 10, 20_000)
    assert 130 < passages < 260
    assert 70 < tokens <= 160


@given(
    st.floats(1, 1e5),
    st.floats(1, 5e3),
    st.integers(16, 512),
    st.integers(0, 15),
    st.sampled_from(["recursive", "word", "line", "passage", "page"]),
)
def test_no_passage_is_longer_than_asked_and_none_is_lost(documents, mean, size, overlap, unit):
    settings = RetrieverSettings(split_length=size, split_overlap=overlap, split_by=unit)
    passages, tokens = count_passages(settings, documents, documents * mean)
    assert passages >= documents * 0.999
    assert passages * tokens >= documents * mean * 0.999
    if unit == "word":
        assert tokens <= size * 1.6 * 1.001


@pytest.mark.parametrize("method", METHODS)
def test_the_facts_and_bytes_of_a_real_index_are_close(profile, build, method):
    rows = [
        {"id": f"d{n}", "title": "King", "text": f"The old king of castle {n} is red and blue."} for n in range(200)
    ]
    index, context = build(rows, method=method)
    tiny = Type("embedder", facts={"hidden": 32, "params": 1e5, "vocab": 200, "bytes": 4e5})
    size = (context.input("corpus").path / "corpus.jsonl").stat().st_size
    inputs = {"corpus": Type("corpus", facts={"count": 200, "tokens": 2400, "bytes": size}), "embedder": tiny}
    facts = STAGE.estimate(RetrieverSettings(method=method), profile, inputs).facts["index"]
    assert (facts["count"], facts["dimension"]) == (index.fact("count"), index.fact("dimension"))
    assert facts["bytes"] == pytest.approx(index.fact("bytes"), rel=0.15)
    assert facts["passage_tokens"] == pytest.approx(index.fact("passage_tokens"), rel=0.4)


@pytest.mark.parametrize("method", METHODS)
def test_more_documents_cost_more_of_everything(profile, method):
    small, large = estimate(profile, method=method), estimate(profile, 20_000, 400_000, method=method)
    for cost in ("seconds", "peak_bytes"):
        assert small.costs[cost] < large.costs[cost]
    assert small.facts["index"]["bytes"] < large.facts["index"]["bytes"]


def test_words_alone_are_far_cheaper_to_index(profile):
    words, both = estimate(profile, method="bm25"), estimate(profile, method="hybrid")
    assert words.cost("seconds") < both.cost("seconds") / 2
    assert words.cost("peak_bytes") < both.cost("peak_bytes") / 1.2
    assert words.facts["index"]["bytes"] < both.facts["index"]["bytes"] - 4 * 384 * 1312 * 0.99
    assert words.cost("scratch_bytes") == 0


def test_what_nobody_named_is_estimated_as_it_would_be_resolved(profile):
    assert estimate(profile) == estimate(profile, method="hybrid")
    without = STAGE.estimate(RetrieverSettings(), profile, {"corpus": corpus(1312, 26_000)})
    assert without == estimate(profile, method="bm25")


def serving(profile, method, top_k=3, **facts):
    index = Type("index", "haystack", facts={"count": 1312, "dimension": 384, "passage_tokens": 25, **facts})
    return STAGE.serving(RetrieverSettings(method=method, top_k=top_k), profile, index, Load())


def test_a_search_adds_its_passages_to_the_prompt(profile):
    assert serving(profile, "bm25").facts["passages"] == {"tokens": 75, "count": 3}
    assert serving(profile, "hybrid", top_k=5).facts["passages"]["tokens"] == 125


def test_both_cost_what_each_costs(profile):
    words, meaning, both = (serving(profile, method).costs for method in METHODS)
    assert max(words["query_seconds"], meaning["query_seconds"]) < both["query_seconds"]
    assert both["query_seconds"] < words["query_seconds"] + meaning["query_seconds"] + 60 * 1e-4
    assert words["peak_bytes"] < meaning["peak_bytes"] <= both["peak_bytes"]
    assert 1e-4 < both["query_seconds"] < 0.2


@pytest.mark.parametrize("method", METHODS)
def test_larger_indexes_are_slower_and_take_more_memory(profile, method):
    small, large = (serving(profile, method, count=n).costs for n in (1_000, 100_000))
    assert small["query_seconds"] < large["query_seconds"]
    assert small["peak_bytes"] < large["peak_bytes"]
