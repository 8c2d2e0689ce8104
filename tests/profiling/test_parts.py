"""Sizes, marks and training pairs of each part."""

from kistack.domain.scenario import CorpusPart
from kistack.profiling.corpus import Corpus
from kistack.profiling.documents import Document
from kistack.profiling.pairs import Pair
from kistack.profiling.parts import folder_sizes, pairs_by_part, part_marks, part_sizes

CORPUS = Corpus(
    (
        Document("a", "", "One two three.", part="docs", path="ref/a.md"),
        Document("b", "", "Vier.", part="docs", path="b.md"),
        Document("c", "", "fünf", part="log", path="log/c.md"),
    )
)


def values(facts):
    return {name: fact.value for name, fact in facts.items()}


def test_sizes_are_told_of_several_parts_only():
    found = values(part_sizes(CORPUS, ["docs", "log"]))
    assert found["corpus.parts"] == "docs, log"
    assert (found["part.docs.documents"], found["part.docs.bytes"]) == (2, 19)
    assert (found["part.log.documents"], found["part.log.bytes"]) == (1, 5)
    assert found["part.docs.tokens"] > found["part.log.tokens"] > 0
    assert values(part_sizes(CORPUS, ["docs"])) == {"corpus.parts": "docs"}


def test_folders_are_those_right_below_a_part():
    found = values(folder_sizes(CORPUS, [("docs", "ref"), ("log", "log")]))
    assert (found["part.docs/ref.documents"], found["part.log/log.documents"]) == (1, 1)
    assert folder_sizes(CORPUS, []) == {}


def test_marks_are_declared_where_the_scenario_says_so(tmp_path):
    parts = [CorpusPart(path=tmp_path, part="docs"), CorpusPart(path=tmp_path, part="log", erasable=True)]
    found = part_marks(parts)
    assert (found["part.log.erasable"].value, found["part.log.erasable"].source) == (True, "declared")
    assert (found["part.docs.erasable"].value, found["part.docs.erasable"].source) == (False, "assumed")
    assert part_marks(parts[:1]) == {}


def test_a_pair_counts_where_all_its_gold_documents_lie():
    gold = [("a",), ("a", "b"), ("a", "c"), ("c",), (), ("nowhere",), ("c", "nowhere")]
    train = [Pair(str(n), "q", ("x",), ids) for n, ids in enumerate(gold)]
    found = values(pairs_by_part(train, CORPUS, ["docs", "log"]))
    assert found == {"part.docs.train_pairs": 2, "part.log.train_pairs": 1}
    assert pairs_by_part(train, CORPUS, ["docs"]) == {}
