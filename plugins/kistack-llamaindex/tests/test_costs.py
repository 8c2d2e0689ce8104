import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_llamaindex.costs import count_passages
from kistack_llamaindex.settings import RetrieverSettings
from kistack_llamaindex.stage import LlamaIndexRetriever

from kistack.domain.artifacts import Type
from kistack.plugins.stages import Load

STAGE = LlamaIndexRetriever()
EMBEDDER = Type(
    "embedder",
    "sentence-transformers",
    facts={"params": 22.7e6, "hidden": 384, "vocab": 30522, "bytes": 91e6},
)


def corpus(documents, tokens):
    return Type("corpus", "jsonl", facts={"count": documents, "tokens": tokens, "bytes": 4.5 * tokens})


def estimate(profile, documents=1312, tokens=26_000, **settings):
    inputs = {"corpus": corpus(documents, tokens), "embedder": EMBEDDER}
    return STAGE.estimate(RetrieverSettings(**settings), profile, inputs)


def test_short_documents_are_one_passage_each():
    assert count_passages(RetrieverSettings(), 1000, 50_000) == (1000, 50)


def test_long_documents_are_several():
    passages, tokens = count_passages(RetrieverSettings(chunk_tokens=100, overlap=20), 10, 10_000)
    assert 110 < passages < 160
    assert 80 < tokens <= 100


@given(st.floats(1, 1e5), st.floats(1, 5e3), st.integers(16, 512), st.integers(0, 15))
def test_no_passage_is_longer_than_asked_and_none_is_lost(documents, mean, size, overlap):
    settings = RetrieverSettings(chunk_tokens=size, overlap=overlap)
    passages, tokens = count_passages(settings, documents, documents * mean)
    assert passages >= documents * 0.999
    assert tokens <= size * 1.001
    assert passages * tokens >= documents * mean * 0.999


def test_the_facts_and_bytes_of_a_real_index_are_close(profile, build):
    rows = [
        {"id": f"d{n}", "title": "King", "text": f"The old king of castle {n} is red and blue."} for n in range(200)
    ]
    index, context = build(rows)
    tiny = Type("embedder", facts={"hidden": 32, "params": 1e5, "vocab": 200, "bytes": 4e5})
    size = (context.input("corpus").path / "corpus.jsonl").stat().st_size
    given = Type("corpus", facts={"count": 200, "tokens": 2400, "bytes": size})
    facts = STAGE.estimate(RetrieverSettings(), profile, {"corpus": given, "embedder": tiny}).facts["index"]
    assert facts["count"] == index.fact("count")
    assert facts["bytes"] == pytest.approx(index.fact("bytes"), rel=0.15)
    assert facts["passage_tokens"] == pytest.approx(index.fact("passage_tokens"), rel=0.3)


def test_more_documents_cost_more_of_everything(profile):
    small, large = estimate(profile), estimate(profile, documents=20_000, tokens=400_000)
    for cost in ("seconds", "peak_bytes", "scratch_bytes"):
        assert small.costs[cost] < large.costs[cost]
    assert small.facts["index"]["bytes"] < large.facts["index"]["bytes"]


def test_a_search_adds_its_passages_to_the_prompt(profile):
    index = Type("index", "llamaindex", facts={"count": 1312, "dimension": 384, "passage_tokens": 25})
    three, five = (STAGE.serving(RetrieverSettings(top_k=k), profile, index, Load()) for k in (3, 5))
    assert three.facts["passages"] == {"tokens": 75, "count": 3}
    assert five.facts["passages"]["tokens"] == 125
    assert 1e-3 < three.costs["query_seconds"] < 0.2
    assert 0.1e9 < three.costs["peak_bytes"] < 0.6e9


def test_larger_indexes_are_slower_and_take_more_memory(profile):
    costs = [
        STAGE.serving(RetrieverSettings(), profile, Type("index", facts={"count": n, "dimension": 384}), Load()).costs
        for n in (1_000, 1_000_000)
    ]
    assert costs[0]["query_seconds"] < costs[1]["query_seconds"]
    assert costs[1]["peak_bytes"] - costs[0]["peak_bytes"] == pytest.approx(4 * 384 * 999_000)
