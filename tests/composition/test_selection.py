import itertools
import json
import re

import pytest
import toys
from facts import small_profile
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.bundle.opening import open_bundle
from kistack.bundle.workspace import Workspace
from kistack.composition.arranging import arrange
from kistack.composition.composer import compose
from kistack.composition.memo import Memo
from kistack.composition.pipeline import Given
from kistack.composition.selection import selected_parts, selects_pairs, trained_parts
from kistack.domain.plan import Plan, Step
from kistack.errors import PlanError
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.plugins.stages import Out, Traits

PARTS = {
    "corpus.parts": "manual, log",
    "corpus.documents": 4,
    "part.manual.documents": 3,
    "part.log.documents": 1,
    "part.manual.tokens": 90,
    "part.log.tokens": 10,
    "part.manual.bytes": 300,
    "part.log.bytes": 100,
    "part.manual.train_pairs": 30,
    "part.log.train_pairs": 6,
    "pairs.gold": 46,
}
PROFILE = small_profile(**PARTS)
HOST = load_host(entry_points=False, extra={"toys": toys})
SELECTORS = {"select/documents", "select/pairs"}
ALL = ("retrieve/toy", "distill/toy", "tune/toy", "quantize/toy")


def step(use, *select, **more):
    return Step(use=use, select=select, **more)


def composed(*steps, profile=PROFILE, host=HOST, **more):
    made = tuple(s if isinstance(s, Step) else Step(use=s) for s in steps)
    return compose(Plan(steps=made, **more), profile, host)


def node(pipeline, label):
    (found,) = [n for n in pipeline.nodes if n.label == label]
    return found


def test_a_retriever_reads_the_documents_of_its_parts_only():
    pipeline = composed(step("retrieve/toy", "log"))
    select, retrieve = node(pipeline, "select/documents"), node(pipeline, "retrieve/toy")
    assert select.auto
    assert select.settings.parts == ("log",)
    assert retrieve.inputs["corpus"][0].node == select.key
    assert retrieve.types["corpus"][0].facts["count"] == 1
    assert retrieve.types["corpus"][0].facts["bytes"] == 100
    assert retrieve.key != node(composed("retrieve/toy"), "retrieve/toy").key
    assert not SELECTORS & {n.label for n in composed("retrieve/toy", "tune/toy").nodes}


def test_a_trainer_reads_the_pairs_of_its_parts_only_and_keeps_to_them_through_what_is_put_in():
    pipeline = composed("retrieve/toy", step("tune/toy", "manual"))
    passages, tune = node(pipeline, "pairs/passages"), node(pipeline, "tune/toy")
    assert passages.inputs["pairs"][0].node == node(pipeline, "select/pairs").key
    assert tune.inputs["pairs"][0].node == passages.key
    assert tune.types["pairs"][0].facts["count"] == 30
    assert isinstance(node(pipeline, "retrieve/toy").inputs["corpus"][0], Given)
    distilled = composed(step("distill/toy", "manual"))
    assert {s.node for s in node(distilled, "signals/toy").inputs["pairs"]} == {node(distilled, "select/pairs").key}


def test_an_automatic_stage_selects_for_a_step_that_reads_only_what_it_makes():
    class FromSignals(toys.ToyDistill):
        name = "distill/signals"

        def traits(self, settings):
            ports = {**toys.ToyDistill.traits(self, settings).consumes}
            del ports["pairs"]
            return Traits(consumes=ports, produces={"model": Out(kind="model", like="model", fresh=True)})

    class Plugin:
        @hookimpl
        def kistack_register_distillers(self):
            return [FromSignals]

    host = load_host(entry_points=False, extra={"toys": toys, "more": Plugin()})
    pipeline = composed(step("distill/signals", "log"), host=host)
    assert node(pipeline, "signals/toy").types["pairs"][0].facts["count"] == 6
    assert selected_parts(pipeline)["weights"] == {"log"}


def test_the_whole_held_out_set_is_asked_and_the_baselines_select_nothing():
    pipeline = composed(step("retrieve/toy", "log"), step("tune/toy", "manual"))
    for found in (n for n in pipeline.nodes if n.purpose == "evaluation"):
        for sources in (found.inputs.get(port, ()) for port in ("items", "examples")):
            assert all(isinstance(s, Given) for s in sources)


def test_training_pairs_are_shown_the_passages_of_the_plans_own_index():
    pipeline = composed(step("retrieve/toy", "log"), step("tune/toy", "manual"))
    passages = node(pipeline, "pairs/passages")
    assert passages.inputs["index"][0].node == node(pipeline, "retrieve/toy").key
    assert passages.types["pairs"][0].facts["count"] == 30
    assert any("about manual are shown passages of log" in n for n in pipeline.notes)
    assert not any("are shown passages" in n for n in composed("retrieve/toy", step("tune/toy", "manual")).notes)
    every = composed(step("retrieve/toy", "manual", "log"), "tune/toy")
    assert not any("are shown passages" in n for n in every.notes)
    assert any("about manual are shown" in n for n in composed(step("retrieve/toy", "log"), "tune/toy").notes)


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ({}, r"4 pairs name no gold document: those among the training pairs are left out where a step selects parts$"),
        ({"pairs.gold": 50}, None),
        ({"pairs.gold": 0, "part.log.train_pairs": 0, "part.manual.train_pairs": 0}, "keeps all of them"),
        (
            {"pairs.gold": None, "part.log.train_pairs": None},
            r"^pairs that name no gold document are left out .* unless no training pair names any$",
        ),
    ],
)
def test_what_becomes_of_pairs_that_nobody_can_place_is_noted(facts, note):
    notes = composed(step("tune/toy", "manual"), profile=small_profile(**{**PARTS, **facts})).notes
    told = [n for n in notes if "gold" in n]
    assert [bool(re.search(note, n)) for n in told] == [True] if note else told == []
    assert not any("gold" in n for n in composed(step("retrieve/toy", "log")).notes)


def test_unknown_parts_are_refused_with_the_close_ones_once_a_step():
    with pytest.raises(PlanError, match="no part of the corpus is called 'lgo'") as caught:
        composed(step("retrieve/toy", "lgo"), step("tune/toy", "manual"))
    assert [p.where for p in caught.value.problems] == ["plan: step 1 (retrieve/toy)"]
    assert caught.value.hint == "did you mean log? its parts: manual, log"


@pytest.mark.parametrize(
    ("steps", "facts", "message"),
    [
        ((step("retrieve/toy", "!manual", "!log"),), {}, "leaves nothing of the corpus"),
        ((step("retrieve/toy", "log"),), {"part.log.documents": 0}, "part 'log' holds no document"),
        ((step("tune/toy", "log"),), {"part.log.train_pairs": 0}, "no training pair is about part 'log'"),
        ((step("tune/toy", "log"),), {"part.log.train_pairs": 1}, "needs count of pairs at least 2, not 1"),
        ((step("tune/toy", "log"),), {"corpus.identity": None}, "select/pairs needs a corpus"),
        ((step("quantize/toy", "log"),), {}, "reads neither the scenario's documents nor its pairs"),
        ((step("runtime/toy", "log"), "retrieve/toy"), {}, "reads neither the scenario's documents nor its pairs"),
        (("retrieve/toy", "pairs/passages", step("tune/toy", "log")), {}, "reads neither"),
    ],
)
def test_a_selection_of_nothing_is_refused(steps, facts, message):
    with pytest.raises(PlanError, match=message) as caught:
        composed(*steps, profile=small_profile(**{**PARTS, **facts}))
    assert len(caught.value.problems) == 1
    assert caught.value.hint


def test_a_selection_reads_the_scenarios_corpus_whatever_its_slot_holds():
    narrowed = Step.model_validate({"use": "select/documents", "with": {"parts": ["log"]}, "as": "corpus"})
    pipeline = composed(narrowed, "retrieve/toy", step("tune/toy", "manual"))
    assert all(isinstance(s, Given) for s in node(pipeline, "select/pairs").inputs["corpus"])
    assert selected_parts(pipeline) == {"index": {"log"}, "weights": {"manual"}}


@pytest.mark.parametrize(
    ("steps", "index", "weights", "trained"),
    [
        ((), set(), set(), set()),
        (("retrieve/toy",), None, set(), set()),
        (("tune/toy",), set(), None, None),
        ((step("retrieve/toy", "log"), "quantize/toy"), {"log"}, set(), set()),
        ((step("tune/toy", "manual"), "retrieve/toy"), None, {"manual"}, {"manual"}),
        (("retrieve/toy", step("tune/toy", "manual")), None, {"manual"}, None),
        ((step("retrieve/toy", "log"), step("tune/toy", "!log")), {"log"}, {"manual"}, {"manual", "log"}),
        ((step("distill/toy", "log"), step("tune/toy", "manual"), "quantize/toy"), set(), {"manual", "log"}, ...),
        ((step("retrieve/toy", "manual"), step("tune/toy", "manual"), "retrieve/toy"), None, {"manual"}, {"manual"}),
    ],
)
def test_which_parts_index_and_weights_hold(steps, index, weights, trained):
    pipeline = composed(*steps)
    assert selected_parts(pipeline) == {"index": index, "weights": weights}
    assert trained_parts(pipeline) == (weights if trained is ... else trained)
    assert selects_pairs(pipeline) == any(s.select and s.kind != "retrieve" for s in pipeline.plan.steps)


def test_a_tuned_teachers_parts_are_in_the_students_weights():
    profile = small_profile(
        **PARTS,
        **{f"teacher.{n}": v for n, v in {"reference": "toy:big", "format": "toy", "identity": "toy:big"}.items()},
        **{"teacher.precision": "fp32", "teacher.vocabulary": "toy"},
    )
    teach = Step.model_validate({"use": "tune/toy", "from": {"model": "teacher"}, "as": "teacher", "select": ["log"]})
    pipeline = composed(teach, step("distill/toy", "manual"), profile=profile)
    assert selected_parts(pipeline)["weights"] == {"log", "manual"}


def test_exclusions_nobody_can_spell_out_yet_count_as_everything():
    unknown = small_profile()
    assert selected_parts(composed(step("tune/toy", "!log"), profile=unknown))["weights"] is None
    assert selected_parts(composed(step("tune/toy", "manual"), profile=unknown))["weights"] == {"manual"}


selections = st.lists(st.sampled_from(["manual", "log", "!manual", "!log"]), max_size=3).map(tuple)


def keys(pipeline):
    return {n.label: n.key for n in pipeline.steps if n.label not in SELECTORS}


@settings(max_examples=80, deadline=None)
@given(st.permutations(ALL), st.lists(selections, min_size=4, max_size=4))
def test_arranging_keeps_every_selection_and_any_selection_composes_or_is_refused(uses, chosen):
    steps = [step(u, *s) for u, s in zip(uses, chosen, strict=True)]
    arranged = arrange(steps, HOST)
    assert {s.use: s.select for s in arranged} == {s.use: s.select for s in steps}
    refused = {s.use for s in steps if s.select and (s.use == "quantize/toy" or _chosen(s.select) == set())}
    try:
        pipeline = composed(*arranged)
    except PlanError as error:
        # A step whose model was refused is passed over, so not every mistake need be named.
        named = {p.where for p in error.problems}
        faulty = [f"plan: step {n} ({s.use})" for n, s in enumerate(arranged, 1) if s.use in refused]
        assert faulty[0] in named <= set(faulty)
    else:
        assert not refused
        by_use = {s.use: s.select for s in steps}
        everything = {"manual", "log"}
        found = selected_parts(pipeline)
        assert found["index"] == (_chosen(by_use["retrieve/toy"]) if by_use["retrieve/toy"] else None)
        weights = [_chosen(by_use[u]) if by_use[u] else None for u in ("distill/toy", "tune/toy")]
        assert found["weights"] == (None if None in weights else weights[0] | weights[1])
        assert all(set(n.settings.parts) <= everything for n in pipeline.nodes if n.label in SELECTORS)


def _chosen(select):
    listed = {s for s in select if not s.startswith("!")} or {"manual", "log"}
    return listed - {s[1:] for s in select if s.startswith("!")}


@settings(max_examples=40, deadline=None)
@given(st.lists(selections.filter(lambda s: not s or _chosen(s)), min_size=3, max_size=3))
def test_keys_tell_selections_apart_and_shared_nodes_do_not_mix_them(chosen):
    memo = Memo()
    uses = ("retrieve/toy", "distill/toy", "tune/toy")
    fresh, shared = [], []
    for select in ((), ("manual",), ("log",), *itertools.product(chosen, repeat=1)):
        each = select[0] if select and isinstance(select[0], tuple) else select
        made = Plan(steps=tuple(step(u, *each) for u in uses))
        fresh.append(keys(compose(made, PROFILE, HOST, evaluation=False)))
        shared.append(keys(compose(made, PROFILE, HOST, evaluation=False, memo=memo)))
    assert fresh == shared
    assert all(fresh[0][u] != fresh[1][u] != fresh[2][u] for u in uses)
    meant = [frozenset(), {"manual"}, {"log"}, *(_chosen(c) if c else frozenset() for c in chosen)]
    for (a, one), (b, other) in itertools.combinations(zip(meant, fresh, strict=True), 2):
        assert (one == other) == (a == b)


def test_a_selection_runs_and_everything_is_as_selected(toy_project, toy_host):
    part_of = {}
    for n, file in enumerate(sorted((toy_project / "documents").glob("*.md"))):
        part = "log" if n % 2 else "manual"
        part_of[file.name] = part
        (toy_project / part).mkdir(exist_ok=True)
        file.rename(toy_project / part / file.name)
    scenario = toy_project / "kistack.yaml"
    text = scenario.read_text().replace("{path: documents, licence: MIT}", "[manual, log]")
    scenario.write_text(text)
    place = Workspace.find(toy_project, host=toy_host)
    made = Plan(steps=(step("retrieve/toy", "log"), step("tune/toy", "manual", **{"with": {"passages": "never"}})))
    record = place.run(place.compose(made))
    assert record.status == "done"
    assert {s.use for s in record.steps if s.auto} == SELECTORS
    rows = [json.loads(line) for line in (toy_project / "pairs.jsonl").read_text().splitlines()]
    train = {r["question"]: part_of[r["gold"][0]] for r in rows if r["split"] == "train"}
    with open_bundle(record.bundle, host=toy_host) as bundle:
        answered = {q for q in train if bundle.ask(q).text != "unknown"}
        found = {part_of[p.document] for q in train for p in bundle.ask(q).passages}
    assert answered == {q for q, part in train.items() if part == "manual"}
    assert found == {"log"}
    held = [r for r in rows if r["split"] == "test"]
    assert len(record.systems["plan"].items["contained"]) == len(held)

    same = place.run(place.compose(Plan(steps=(step("retrieve/toy", "log", "manual"),))))
    bare = place.run(place.compose(Plan(steps=(Step(use="retrieve/toy"),))))
    made_by = [next(s for s in r.steps if s.use == "retrieve/toy") for r in (same, bare)]
    assert made_by[0].key != made_by[1].key
    assert made_by[0].outputs == made_by[1].outputs
