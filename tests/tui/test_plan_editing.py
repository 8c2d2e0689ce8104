"""Editing a plan: refused with the composer's reason, or kept so that a file could hold it."""

import pytest
import toys
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kistack.domain.plan import Plan, Step
from kistack.errors import InputError, KistackError
from kistack.plugins.host import load_host
from kistack.tui.plan_editing import PlanEditor, estimate_line, parse_plan, problem_lines, step_line


@pytest.fixture
def edit(toy_place):
    def make(*uses, **fields):
        plan = Plan(steps=tuple(Step(use=u) for u in uses), **fields)
        return PlanEditor(plan, toy_place.host, lambda p: toy_place.compose(p, evaluation=False))

    return make


def uses(editor):
    return [s.use for s in editor.steps]


def test_a_step_is_added_behind_the_chosen_one(edit):
    editor = edit("retrieve/toy")
    assert editor.add("tune/toy", 0) == 1
    assert uses(editor) == ["retrieve/toy", "tune/toy"]
    assert editor.standing.problems == ()


def test_a_step_that_cannot_stand_there_is_added_where_it_can(edit):
    editor = edit("quantize/toy")
    assert editor.add("tune/toy", 0) == 0
    assert uses(editor) == ["tune/toy", "quantize/toy"]


def test_a_step_that_fits_nowhere_is_refused_with_the_composers_reason(edit):
    editor = edit("quantize/toy")
    with pytest.raises(InputError, match=r"quantize/toy cannot be added: .*") as refused:
        editor.add("quantize/toy", 0)
    assert refused.value.hint
    assert uses(editor) == ["quantize/toy"]
    assert not editor.can_undo


def test_a_wrong_order_is_refused_with_the_composers_reason(edit):
    editor = edit("tune/toy", "quantize/toy")
    with pytest.raises(InputError) as refused:
        editor.move(1, -1)
    assert "tune before quantizing" in refused.value.hint
    assert uses(editor) == ["tune/toy", "quantize/toy"]
    assert editor.move(0, -1) == 0


def test_a_legal_move_is_made(edit):
    editor = edit("retrieve/toy", "tune/toy")
    assert editor.move(0, 1) == 1
    assert uses(editor) == ["tune/toy", "retrieve/toy"]


def test_removing_is_kept_and_undone(edit):
    editor = edit("retrieve/toy", "tune/toy")
    editor.remove(0)
    assert uses(editor) == ["tune/toy"]
    editor.undo()
    assert uses(editor) == ["retrieve/toy", "tune/toy"]
    with pytest.raises(InputError, match="nothing to undo"):
        editor.undo()
    with pytest.raises(InputError, match="no step 8"):
        editor.remove(7)


def test_settings_are_checked_by_the_stage_and_defaults_not_spelled_out(edit):
    editor = edit("tune/toy")
    editor.set(0, "rank", 8)
    assert editor.steps[0].with_ == {"rank": 8}
    assert "rank: 8" in editor.yaml
    with pytest.raises(InputError, match="rank: Input should be greater than or equal to 1") as refused:
        editor.set(0, "rank", 0)
    assert refused.value.hint == "rank of the adapter"
    with pytest.raises(InputError, match="no setting 'rang'"):
        editor.set(0, "rang", 1)
    editor.set(0, "rank", 4)
    assert editor.steps[0].with_ == {}


def test_changes_of_one_setting_in_a_row_are_one_edit(edit):
    editor = edit("tune/toy")
    for rank in (1, 12, 123):
        editor.set(0, "rank", rank)
    editor.undo()
    assert editor.steps[0].with_ == {}
    editor.set(0, "rank", 2)
    editor.reset(0)
    editor.undo()
    assert editor.steps[0].with_ == {"rank": 2}


def test_another_provider_keeps_what_it_understands(toy_place):
    class OtherTune(toys.ToyTune):
        name = "tune/other"

    class Other:
        @toys.hookimpl
        def kistack_register_tuners(self):
            return [OtherTune]

    host = load_host(entry_points=False, extra={"toys": toys, "other": Other()})
    place = type(toy_place)(toy_place.scenario, host=host)
    plan = Plan(steps=(Step(use="tune/toy", with_={"rank": 2}),))
    editor = PlanEditor(plan, host, lambda p: place.compose(p, evaluation=False))
    assert [s.name for s in editor.providers(0)] == ["tune/other", "tune/toy"]
    editor.provide(0, "tune/other")
    assert editor.steps[0] == Step(use="tune/other", with_={"rank": 2})
    with pytest.raises(InputError, match="is no tune"):
        editor.provide(0, "retrieve/toy")


def test_what_can_be_added_are_steps_with_the_techniques_first(edit):
    names = [s.name for s in edit().addable()]
    assert names[:4] == ["retrieve/toy", "distill/toy", "tune/toy", "quantize/toy"]
    assert "runtime/toy" in names
    assert not any(n.startswith(("source/", "evaluate/", "answer/")) for n in names)
    with pytest.raises(InputError, match="is no step"):
        edit().add("source/toy")


def test_a_plan_with_problems_is_told_and_mended_by_other_edits(edit):
    editor = edit("quantize/toy", "tune/toy")
    assert editor.standing.pipeline is None
    assert "no estimate" in estimate_line(editor.standing)
    [line] = problem_lines(editor.standing)
    assert "→ tune before quantizing" in line
    assert editor.move(1, -1) == 0
    assert editor.standing.problems == ()
    assert "to build" in estimate_line(editor.standing)
    assert step_line(editor.standing, 0)
    assert step_line(editor.standing, 99) == ""


STAGES = st.sampled_from(
    ["retrieve/toy", "distill/toy", "tune/toy", "quantize/toy", "merge/toy", "runtime/toyq", "no/x"]
)
PLACES = st.integers(-1, 5)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), STAGES, PLACES),
        st.tuples(st.just("remove"), PLACES),
        st.tuples(st.just("move"), PLACES, st.integers(-3, 3)),
        st.tuples(st.just("provide"), PLACES, STAGES),
        st.tuples(
            st.just("set"),
            PLACES,
            st.sampled_from(["rank", "top_k", "passages", "nothing"]),
            st.one_of(st.integers(-2, 30), st.text(max_size=8), st.booleans(), st.none()),
        ),
        st.tuples(st.just("reset"), PLACES),
        st.tuples(st.just("undo")),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(edits=EDITS)
def test_any_edits_leave_a_plan_that_reads_back_or_are_refused_with_a_reason(edit, edits):
    editor = edit("retrieve/toy", "tune/toy")
    for name, *arguments in edits:
        before = editor.plan
        try:
            getattr(editor, name)(*arguments)
        except KistackError as refused:
            assert refused.message
            assert editor.plan == before
        assert parse_plan(editor.yaml) == editor.plan
        assert (editor.standing.pipeline is None) == bool(editor.standing.problems)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(edits=EDITS)
def test_undoing_everything_leads_back(edit, edits):
    editor = edit("tune/toy", "quantize/toy")
    before = editor.plan
    for name, *arguments in edits:
        if name != "undo":
            try:
                getattr(editor, name)(*arguments)
            except KistackError:
                continue
    while editor.can_undo:
        editor.undo()
    assert editor.plan == before
