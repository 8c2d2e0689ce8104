"""Plans as files: writing and reading is the identity."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kistack.domain.plan import Plan, Step
from kistack.domain.planfile import dump_plan, load_plan
from kistack.errors import InputError, PlanError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts, st.dates())
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3), max_leaves=8)
steps = st.builds(
    lambda use, with_, from_, as_, select: Step.model_validate(
        {"use": use, "with": with_, "from": from_, "as": as_, "select": select}
    ),
    st.one_of(texts, names.map(lambda n: f"tune/{n}")),
    st.dictionaries(texts, values, max_size=4),
    st.dictionaries(names, names, max_size=2),
    st.one_of(st.just(""), names),
    st.lists(st.one_of(texts.filter(lambda t: t.removeprefix("!").strip()), names.map(lambda n: f"!{n}")), max_size=3),
)
plans = st.builds(
    lambda seed, base, steps, deliver, evaluate: Plan(
        seed=seed, base=base, steps=tuple(steps), deliver=tuple(deliver), evaluate=tuple(evaluate)
    ),
    st.integers(0, 2**31 - 1),
    texts,
    st.lists(steps, max_size=4),
    st.lists(names, max_size=3),
    st.lists(names, max_size=3, unique=True),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(plan=plans)
@example(plan=Plan(base="one\x85two\u2028three\u2029four\ufefffive ä \r\n\t\x07"))
@example(plan=Plan(base="on", deliver=("1", "null", "<<", "=", "- a", "#", "1:30", "0o7")))
def test_the_round_trip_is_the_identity(tmp_path, plan):
    path = tmp_path / "plan.yaml"
    path.write_bytes(dump_plan(plan).encode())
    assert load_plan(path) == plan
    assert dump_plan(load_plan(path)) == dump_plan(plan)


def test_a_plan_reads_as_people_write_it(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(
        "steps:\n- {use: retrieve/llamaindex, with: {top_k: 3}}\n- {use: tune/lora, from: {model: teacher}, as: t}\n"
    )
    plan = load_plan(path)
    assert plan.techniques == ("retrieve", "tune")
    assert plan.steps[1].from_ == {"model": "teacher"}
    assert plan.steps[1].as_ == "t"


def test_a_selection_is_written_only_where_there_is_one(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("steps:\n- {use: retrieve/x, select: [changelog, '!drafts']}\n- {use: tune/x, select: manual}\n")
    one, two = load_plan(path).steps
    assert one.to_dict() == {"use": "retrieve/x", "select": ["changelog", "!drafts"]}
    assert two.select == ("manual",)
    assert Step(use="tune/x", select=()).to_dict() == {"use": "tune/x"}
    path.write_text("steps:\n- {use: tune/x, select: ['!']}\n")
    with pytest.raises(PlanError, match="'!' names no part of the corpus"):
        load_plan(path)


def test_evaluators_are_written_by_name_or_with_their_settings(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("steps: []\nevaluate:\n- defaults\n- {use: evaluate/format, with: {pattern: '[0-9]+'}}\n")
    plan = load_plan(path)
    assert [e.use for e in plan.evaluate] == ["defaults", "evaluate/format"]
    assert plan.evaluate[1].with_ == {"pattern": "[0-9]+"}
    written = plan.to_dict()["evaluate"]
    assert written == ["defaults", {"use": "evaluate/format", "with": {"pattern": "[0-9]+"}}]
    assert Plan.model_validate(plan.to_dict()) == plan


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[evaluate/a, evaluate/a]", "evaluate/a stands twice under evaluate"),
        ("[{use: evaluate/a, as: b}]", "evaluate/a under evaluate takes no 'as'"),
        ("[{use: evaluate/a, wiht: {}}]", "unknown key 'evaluate[0].wiht'"),
    ],
)
def test_evaluators_that_make_no_sense_are_refused_with_their_line(tmp_path, text, said):
    path = tmp_path / "plan.yaml"
    path.write_text(f"steps: []\nevaluate: {text}\n")
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert said in str(caught.value)


def test_shared_values_are_written_out():
    shared = ["q", "v"]
    text = dump_plan(Plan(steps=(Step.model_validate({"use": "tune/x", "with": {"a": shared, "b": shared}}),)))
    assert "&" not in text
    assert "*" not in text


def test_every_mistake_has_its_line(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(
        "schema: 9\nseed: -1\nsteps:\n- {uses: tune/lora}\n- {use: tune/lora, wth: {}}\n"
        "base: !!python/name:os.system x\n"
    )
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    found = [(p.where, p.message) for p in caught.value.problems]
    assert [w for w, _ in found] == [f"plan.yaml:{n}" for n in (1, 2, 4, 4, 5, 6)]
    assert "newer" in found[0][1]
    assert "did you mean 'with'?" in caught.value.hint
    assert "accepted: use, with, from, as" in caught.value.hint


def test_settings_that_are_no_plain_values_are_refused():
    with pytest.raises(PlanError, match="cannot be written"):
        dump_plan(Plan(steps=(Step.model_validate({"use": "tune/x", "with": {"a": object()}}),)))


def test_a_scenario_is_no_plan(tmp_path):
    path = tmp_path / "kistack.yaml"
    path.write_text("schema: 1\nname: x\nmodels: {base: 'hub:a/b'}\ntask: {kind: facts}\n")
    with pytest.raises(InputError, match="is a scenario, not a plan") as caught:
        load_plan(path)
    assert "kistack advise -o" in caught.value.hint


def test_a_missing_plan_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nope\.yaml"):
        load_plan(tmp_path / "nope.yaml")
