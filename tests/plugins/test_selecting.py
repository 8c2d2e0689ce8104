import json

import pytest
import toys
from facts import small_profile
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.prompt import PromptTemplate, template_of
from kistack.errors import InputError, StepFailed
from kistack.plugins.builtins import PairsPassages
from kistack.plugins.selecting import (
    SelectDocuments,
    SelectPairs,
    SelectSettings,
    chosen_parts,
    pairs_are_told_apart,
    part_names,
)
from kistack.testing import LocalContext, run_stage

DOCUMENTS = [
    {"id": "manual/a", "part": "manual", "text": "Alpha runs on Linux, ünïcode", "title": "A"},
    {"id": "manual/b", "part": "manual", "text": "Beta runs", "title": "B"},
    {"id": "log/c", "part": "log", "text": "Alpha 1.2 is out", "title": "C"},
]
PAIRS = [
    {"id": "1", "question": "What does Alpha run on?", "answers": ["Linux"], "gold": ["manual/a"]},
    {"id": "2", "question": "Which Alpha is out?", "answers": ["1.2"], "gold": ["log/c"]},
    {"id": "3", "question": "Which Alpha runs on Linux?", "answers": ["1.2"], "gold": ["manual/a", "log/c"]},
    {"id": "4", "question": "Who asks?", "answers": ["me"], "gold": []},
    {"id": "5", "question": "What is gone?", "answers": ["it"], "gold": ["manual/a", "manual/gone"]},
]
PARTS = {
    "corpus.parts": "manual, log",
    "part.manual.documents": 3,
    "part.log.documents": 1,
    "part.manual.tokens": 90,
    "part.log.tokens": 10,
    "part.manual.bytes": 300,
    "part.log.bytes": 100,
    "part.manual.train_pairs": 30,
    "part.log.train_pairs": 6,
}


def profile(**changes):
    return small_profile(**{**PARTS, **{n.replace("__", "."): v for n, v in changes.items()}})


def selecting(*parts):
    return SelectSettings(parts=parts)


@pytest.fixture
def given_files(tmp_path):
    def writing(documents=DOCUMENTS, pairs=PAIRS):
        folders = {}
        for kind, rows in (("corpus", documents), ("pairs", pairs)):
            folder = tmp_path / kind
            folder.mkdir(exist_ok=True)
            # Lines as kistack writes them: what is kept must stay the same byte by byte.
            lines = [json.dumps(r, ensure_ascii=False, sort_keys=True) + "\n" for r in rows]
            (folder / f"{kind}.jsonl").write_text("".join(lines), encoding="utf-8")
            facts = {"count": len(rows), "tokens": 100}
            folders[kind] = Artifact(kind, "jsonl", folder, "", "given", {"passages": "without"}, facts)
        PromptTemplate(system="be brief").write(folders["pairs"].path)
        return folders

    return writing


def kept(stage, tmp_path, files, *parts, lines=None):
    ports = stage.traits(SelectSettings()).consumes
    ctx = LocalContext(tmp_path / "run", {p: files[p] for p in ports}, {})
    (made,) = run_stage(stage, ctx, selecting(*parts)).values()
    if lines is not None:
        lines += ctx.lines
    return made, (made.path / f"{made.kind}.jsonl").read_bytes()


def test_documents_of_the_named_parts_as_they_stand(given_files, tmp_path):
    files = given_files()
    made, text = kept(SelectDocuments(), tmp_path, files, "manual")
    whole = (files["corpus"].path / "corpus.jsonl").read_bytes()
    assert text == b"".join(whole.splitlines(keepends=True)[:2])
    assert made.facts["count"] == 2
    assert made.facts["bytes"] == len(text)
    sizes = [len(d["text"]) for d in DOCUMENTS]
    assert made.facts["tokens"] == round(100 * sum(sizes[:2]) / sum(sizes))


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        (["manual"], ["1"]),
        (["log"], ["2"]),
        (["!log"], ["1"]),
        (["manual", "log"], ["1", "2", "3", "4", "5"]),  # nothing is left out where everything is selected
    ],
)
def test_pairs_whose_gold_documents_all_lie_there(given_files, tmp_path, parts, left):
    made, text = kept(SelectPairs(), tmp_path, given_files(), *parts)
    assert [json.loads(line)["id"] for line in text.splitlines()] == left
    assert made.facts["count"] == len(left)
    assert made.facts["bytes"] == len(text)
    assert made.facets["passages"] == "without"
    assert template_of(made.path).system == "be brief"


def test_where_no_pair_names_gold_all_are_kept_and_the_log_says_so(given_files, tmp_path):
    lines = []
    bare = [{k: v for k, v in p.items() if k != "gold"} for p in PAIRS]
    _, text = kept(SelectPairs(), tmp_path, given_files(pairs=bare), "log", lines=lines)
    assert len(text.splitlines()) == len(PAIRS)
    assert any("no pair names its gold documents" in line for line in lines)


def test_selected_pairs_are_shown_what_the_index_of_other_parts_returns(given_files, tmp_path):
    files = given_files()
    made, _ = kept(SelectPairs(), tmp_path, files, "manual")
    index = toys.ToyIndex([d for d in DOCUMENTS if d["part"] == "log"], 2)
    ctx = LocalContext(tmp_path / "shown", {"pairs": made}, {"index": index})
    shown = run_stage(PairsPassages(), ctx)["pairs"]
    (row,) = [json.loads(line) for line in (shown.path / "pairs.jsonl").read_text().splitlines()]
    assert (row["id"], row["gold"]) == ("1", ["manual/a"])
    assert [p["document"] for p in row["passages"]] == ["log/c"]
    assert shown.facts["count"] == 1
    assert template_of(shown.path).system == "be brief"


def test_nothing_left_fails_with_a_remedy(given_files, tmp_path):
    only_log = [p for p in PAIRS if p["gold"] == ["log/c"]]
    with pytest.raises(StepFailed, match="no pair is about part 'manual'") as caught:
        kept(SelectPairs(), tmp_path, given_files(pairs=only_log), "manual")
    assert "gold" in caught.value.hint


@pytest.mark.parametrize("stage", [SelectDocuments(), SelectPairs()])
def test_a_part_that_no_document_has_fails_with_the_close_ones(given_files, tmp_path, stage):
    with pytest.raises(StepFailed, match="no part of the corpus is called 'manul'") as caught:
        kept(stage, tmp_path, given_files(), "manul")
    assert caught.value.hint == "did you mean manual? its parts: manual, log"
    with pytest.raises(StepFailed, match="leaves nothing"):
        kept(stage, tmp_path, given_files(), "!manual", "!log")


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (["b"], ("b",)),
        (["c", "a"], ("a", "c")),
        (["!b"], ("a", "c", "!odd")),
        (["a", "b", "!b"], ("a",)),
        (["!odd"], ("!odd",)),
        (["!!odd"], ("a", "b", "c")),
    ],
)
def test_names_and_exclusions(wanted, chosen):
    assert chosen_parts(wanted, ("a", "b", "c", "!odd")) == chosen


@given(
    known=st.lists(st.text("abc!", min_size=1, max_size=3), min_size=1, max_size=5, unique=True),
    wanted=st.lists(st.text("abc!", min_size=1, max_size=4), max_size=4),
)
def test_any_names_choose_some_parts_in_order_or_are_refused(known, wanted):
    try:
        chosen = chosen_parts(wanted, known)
    except InputError as error:
        assert error.hint
    else:
        assert chosen
        assert list(chosen) == [n for n in known if n in chosen]
        assert chosen_parts(chosen, known) == chosen
        assert chosen_parts(wanted[::-1], known) == chosen


def test_selections_that_mean_the_same_resolve_alike():
    ways = [("manual",), ("!log",), ("manual", "manual"), ("log", "manual", "!log")]
    assert {SelectDocuments().resolve(selecting(*w), profile(), {}) for w in ways} == {selecting("manual")}
    unknown = small_profile()
    assert SelectPairs().resolve(selecting("!log"), unknown, {}) == selecting("!log")


def test_nothing_left_is_refused_where_the_facts_tell():
    with pytest.raises(InputError, match="part 'log' holds no document"):
        SelectDocuments().resolve(selecting("log"), profile(part__log__documents=0), {})
    bare = profile(part__log__train_pairs=0)
    with pytest.raises(InputError, match="no training pair is about part 'log'") as caught:
        SelectPairs().resolve(selecting("log"), bare, {})
    assert caught.value.hint == "pairs are about manual"
    assert SelectPairs().resolve(selecting("manual", "log"), bare, {}).parts == ("manual", "log")
    untold = profile(part__log__train_pairs=0, part__manual__train_pairs=0)
    assert SelectPairs().resolve(selecting("log"), untold, {}).parts == ("log",)
    for stage in (SelectDocuments(), SelectPairs()):
        with pytest.raises(InputError, match="leaves nothing"):
            stage.resolve(SelectSettings(), profile(), {})


CORPUS = Type("corpus", "jsonl", {}, {"count": 4, "tokens": 100, "bytes": 400})
GIVEN = {
    "corpus": CORPUS,
    "pairs": Type("pairs", "jsonl", {}, {"count": 40, "tokens": 1400, "bytes": 4000, "prompt_tokens": 30}),
}


def estimated(stage, profile, *parts):
    (facts,) = stage.estimate(selecting(*parts), profile, GIVEN).facts.values()
    return {n: round(v, 6) for n, v in facts.items()}


def test_estimates_follow_the_facts_of_the_parts():
    assert estimated(SelectDocuments(), profile(), "log") == {"count": 1, "tokens": 10, "bytes": 100}
    assert estimated(SelectPairs(), profile(), "log") == {"count": 6, "tokens": 210, "bytes": 600}
    assert estimated(SelectPairs(), profile(), "manual", "log")["count"] == 40


def test_estimates_guess_in_proportion_where_facts_are_missing():
    no_tokens = profile(part__log__tokens=None)
    assert estimated(SelectDocuments(), no_tokens, "log") == {"count": 1, "tokens": 25, "bytes": 100}
    no_pairs = profile(part__log__train_pairs=None, part__manual__train_pairs=None)
    assert estimated(SelectPairs(), no_pairs, "log")["count"] == 10
    names_only = small_profile(corpus__parts="a, b, c, d, e")
    assert estimated(SelectDocuments(), names_only, "a", "b") == {"count": 1.6, "tokens": 40, "bytes": 160}
    assert estimated(SelectPairs(), names_only, "a")["count"] == 8
    assert estimated(SelectDocuments(), small_profile(), "a") == {"count": 4, "tokens": 100, "bytes": 400}
    untold = profile(part__log__train_pairs=0, part__manual__train_pairs=0)
    assert estimated(SelectPairs(), untold, "log")["count"] == 40


def test_who_can_tell_pairs_apart():
    assert pairs_are_told_apart(profile()) is True
    assert pairs_are_told_apart(profile(part__log__train_pairs=0, part__manual__train_pairs=0)) is False
    assert pairs_are_told_apart(small_profile(pairs__gold=0)) is False
    assert pairs_are_told_apart(small_profile(pairs__gold=50)) is None
    assert pairs_are_told_apart(small_profile()) is None


def test_names_of_parts_come_from_the_profile():
    assert part_names(profile()) == ("manual", "log")
    counted = {n: v for n, v in PARTS.items() if n != "corpus.parts"}
    assert part_names(small_profile(**counted, **{"corpus.parts": 2, "part.v1.2.tokens": 3})) == (
        "manual",
        "log",
        "v1.2",
    )
    assert part_names(small_profile()) == ()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_selecting_every_part_leaves_every_line(tmp_path_factory, data):
    parts = data.draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6))
    documents = [{"id": str(n), "part": p, "text": "x" * n} for n, p in enumerate(parts)]
    gold = st.lists(st.sampled_from([*(d["id"] for d in documents), "gone"]), max_size=2)
    pairs = [{"id": f"q{n}", "question": "?", "answers": ["!"], "gold": data.draw(gold)} for n in range(3)]
    root = tmp_path_factory.mktemp("select")
    folders = {}
    for kind, rows in (("corpus", documents), ("pairs", pairs)):
        folder = root / kind
        folder.mkdir()
        (folder / f"{kind}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        folders[kind] = Artifact(kind, "jsonl", folder, "", "given", {}, {"tokens": 7})
    PromptTemplate().write(folders["pairs"].path)
    for stage, kind in ((SelectDocuments(), "corpus"), (SelectPairs(), "pairs")):
        _, text = kept(stage, root / kind, folders, *dict.fromkeys(parts))
        assert text == (folders[kind].path / f"{kind}.jsonl").read_bytes()
