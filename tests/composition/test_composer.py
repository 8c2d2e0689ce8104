import itertools
from types import SimpleNamespace

import pytest
import toys
from facts import small_profile
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import model_validator

from kistack.composition.arranging import arrange, plan_of
from kistack.composition.composer import compose
from kistack.composition.pipeline import Given, Ref
from kistack.domain.plan import Plan, Step
from kistack.errors import InputError, PlanError
from kistack.plugins.builtins import PYTHON_BYTES
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.plugins.stages import TECHNIQUES

USES = {kind: f"{kind}/toy" for kind in TECHNIQUES}


@pytest.fixture(scope="module")
def host():
    return load_host(entry_points=False, extra={"toys": toys})


@pytest.fixture
def profile():
    return small_profile()


def plan(*uses, **extra):
    return Plan(steps=tuple(u if isinstance(u, Step) else Step(use=u) for u in uses), **extra)


def labels(pipeline):
    return [n.label for n in pipeline.steps]


def problems(caught):
    return caught.value.problems


def subsets():
    for size in range(5):
        yield from itertools.combinations(TECHNIQUES, size)


@pytest.mark.parametrize("techniques", list(subsets()), ids=lambda t: "+".join(t) or "nothing")
def test_all_sixteen_subsets_compose(host, profile, techniques):
    pipeline = compose(plan(*(USES[t] for t in techniques)), profile, host)
    done = labels(pipeline)
    assert [USES[t] for t in techniques] == [n for n in done if n in USES.values()]
    assert ("merge/toy" in done) == ({"tune", "quantize"} <= set(techniques))
    assert ("pairs/passages" in done) == ("retrieve" in techniques and bool({"tune", "distill"} & set(techniques)))
    assert set(pipeline.systems) == {"baseline", "few-shot"} | ({"plan"} if techniques else set())
    seen = set()
    for node in pipeline.nodes:
        assert set(node.parents()) <= seen
        seen.add(node.key)


def test_the_sixteen_share_their_work(host, profile):
    apart, together = 0, set()
    for techniques in subsets():
        pipeline = compose(plan(*(USES[t] for t in techniques)), profile, host, evaluation=False)
        nodes = [n for n in pipeline.steps if not n.auto and n.purpose == "step"]
        apart += len(nodes)
        together |= {n.key for n in nodes}
    by_kind = {}
    for techniques in subsets():
        for node in compose(plan(*(USES[t] for t in techniques)), profile, host, evaluation=False).steps:
            by_kind.setdefault(node.label, set()).add(node.key)
    assert apart == 32
    assert {k: len(v) for k, v in by_kind.items() if k in USES.values()} == {
        "retrieve/toy": 1,
        "distill/toy": 2,
        "tune/toy": 4,
        "quantize/toy": 7,
    }
    assert len(together) == 14


def test_tuning_learns_from_passages_when_the_plan_retrieves_and_not_otherwise(host, profile):
    with_passages = compose(plan("retrieve/toy", "tune/toy"), profile, host)
    bare = compose(plan("tune/toy"), profile, host)
    opted_out = compose(plan("retrieve/toy", Step(use="tune/toy", with_={"passages": "never"})), profile, host)
    pairs_of = {
        name: next(n for n in p.nodes if n.label == "tune/toy").inputs["pairs"][0]
        for name, p in {"with": with_passages, "bare": bare, "out": opted_out}.items()
    }
    assert isinstance(pairs_of["with"], Ref)
    assert isinstance(pairs_of["bare"], Given)
    assert isinstance(pairs_of["out"], Given)
    tune = {
        p: next(n.key for n in q.nodes if n.label == "tune/toy") for p, q in {"w": with_passages, "b": bare}.items()
    }
    assert tune["w"] != tune["b"]


def test_an_automatic_result_is_private_to_the_port_that_asked(host, profile):
    pipeline = compose(plan("retrieve/toy", "tune/toy"), profile, host)
    examples = next(n for n in pipeline.nodes if n.label == "answer/items" and "examples" in n.inputs)
    assert isinstance(examples.inputs["examples"][0], Given)


def test_items_never_reach_a_trainer(host, profile):
    for techniques in subsets():
        pipeline = compose(plan(*(USES[t] for t in techniques)), profile, host)
        for node in pipeline.steps:
            for types in node.types.values():
                assert all(t.kind != "items" for t in types)


def test_a_tuned_teacher_is_distilled_then_quantized(host, profile):
    teach = Step(use="tune/toy", from_={"model": "teacher"}, as_="teacher")
    profile = small_profile(
        teacher__reference="toy:big",
        teacher__format="toy",
        teacher__identity="toy:big",
        teacher__precision="fp32",
        teacher__vocabulary="toy",
    )
    pipeline = compose(plan(teach, "distill/toy", "quantize/toy"), profile, host)
    assert labels(pipeline)[-1] == "quantize/toy"
    tune = next(n for n in pipeline.nodes if n.label == "tune/toy")
    distill = next(n for n in pipeline.nodes if n.label == "distill/toy")
    assert distill.inputs["teacher"][0] == Ref(tune.key, "model")


def test_quantized_teacher_then_student_quantized_is_legal(host, profile):
    profile = small_profile(
        teacher__reference="toy:big",
        teacher__format="toy",
        teacher__identity="toy:big",
        teacher__precision="fp32",
        teacher__vocabulary="toy",
    )
    small = Step(use="quantize/toy", from_={"model": "teacher"}, as_="teacher")
    pipeline = compose(plan(small, "distill/toy", "quantize/toy"), profile, host)
    assert labels(pipeline).count("quantize/toy") == 2


def test_several_adapters_are_delivered_and_evaluated(host, profile):
    pipeline = compose(
        plan(
            Step(use="tune/toy", as_="legal"),
            Step(use="tune/toy", with_={"rank": 8}, as_="support"),
            deliver=("legal", "support"),
        ),
        profile,
        host,
    )
    assert {"plan:legal", "plan:support", "baseline"} <= set(pipeline.systems)
    base = pipeline.systems["baseline"].model.type
    assert all(base.identity in b.type.needs for b in pipeline.delivered.values())
    assert pipeline.estimate.costs["bytes"] == 4000 + 400 + 800


def test_redirecting_the_main_input_without_as_is_refused(host):
    profile = small_profile(
        teacher__reference="toy:big",
        teacher__format="toy",
        teacher__identity="toy:big",
        teacher__precision="fp32",
        teacher__vocabulary="toy",
    )
    with pytest.raises(PlanError, match="would overwrite slot 'model'") as caught:
        compose(plan(Step(use="tune/toy", from_={"model": "teacher"})), profile, host)
    assert "as: teacher" in caught.value.hint


def test_quantizing_first_is_refused_with_its_reason_once(host, profile):
    with pytest.raises(PlanError) as caught:
        compose(plan("quantize/toy", "tune/toy", "quantize/toy"), profile, host)
    assert len(problems(caught)) == 1
    assert "step 2 (tune/toy)" in str(caught.value)
    assert "toyq" in str(caught.value)
    assert "tune before quantizing" in caught.value.hint


def test_order_rules_hold_along_a_line_of_descent(host, profile):
    late = type("Late", (toys.ToyTune,), {"name": "tune/late", "traits": _late_traits})
    own = load_host(entry_points=False, extra={"toys": toys, "late": Registers(tuners=[late])})
    with pytest.raises(PlanError, match=r"tune/late must come before tune/toy"):
        compose(plan("tune/toy", "tune/late"), profile, own)


def _late_traits(self, settings):
    from dataclasses import replace

    base = toys.ToyTune.traits(self, settings)
    ports = {**base.consumes, "model": replace(base.consumes["model"], where={})}
    return replace(base, consumes=ports, before=("tune/toy",))


class Registers:
    def __init__(self, **classes):
        from kistack.plugins.hookspecs import hookimpl

        for kind, listed in classes.items():
            setattr(self, f"kistack_register_{kind}", hookimpl(lambda listed=listed: listed))


def test_unknown_stage_names_the_close_ones(host, profile):
    with pytest.raises(PlanError, match="no installed plugin has a stage 'tune/toi'") as caught:
        compose(plan("tune/toi"), profile, host)
    assert "tune/toy" in caught.value.hint


def test_every_problem_is_reported_at_once_and_each_mistake_once(host, profile):
    with pytest.raises(PlanError) as caught:
        compose(
            plan(Step(use="tune/toy", with_={"rank": 0}), "quantize/toy", Step(use="retrieve/toy", with_={"k": 3})),
            profile,
            host,
        )
    messages = [p.message for p in problems(caught)]
    assert len(messages) == 2
    assert "rank = 0" in messages[0]
    assert "no setting 'k'" in messages[1]
    assert "top_k" in caught.value.hint


def test_too_few_pairs_are_refused_with_the_number(host):
    with pytest.raises(PlanError, match="needs count of pairs at least 2, not 1"):
        compose(plan("tune/toy"), small_profile(pairs__train=1), host)


def test_no_pairs_at_all(host):
    with pytest.raises(PlanError, match="needs a pairs at 'pairs', and there is none") as caught:
        compose(plan("tune/toy"), small_profile(pairs__identity=None), host)
    assert "knowledge.pairs" in caught.value.hint


def test_vocabularies_must_agree(host):
    profile = small_profile(
        teacher__reference="toy:big@other",
        teacher__format="toy",
        teacher__identity="x",
        teacher__precision="fp32",
        teacher__vocabulary="other",
    )
    with pytest.raises(PlanError, match="differ in vocabulary"):
        compose(plan("distill/toy"), profile, host)


def test_a_step_that_nothing_uses_is_refused(host, profile):
    with pytest.raises(PlanError, match="nothing that is delivered uses what it makes"):
        compose(plan(Step(use="tune/toy", as_="spare")), profile, host)


def test_delivering_an_empty_slot_is_refused(host, profile):
    with pytest.raises(PlanError, match="nothing has written slot 'legal'"):
        compose(plan("tune/toy", deliver=("legal",)), profile, host)


def test_two_stages_that_fit_automatically_must_be_named(host, profile):
    other = type("Other", (toys.ToyMerge,), {"name": "merge/other"})
    own = load_host(entry_points=False, extra={"toys": toys, "other": Registers(stages=[other])})
    with pytest.raises(PlanError, match="merge/other or merge/toy could prepare its input"):
        compose(plan("tune/toy", "quantize/toy"), profile, own)
    pipeline = compose(plan("tune/toy", "merge/toy", "quantize/toy"), profile, own)
    assert "merge/toy" in labels(pipeline)


def test_a_kind_the_core_has_never_heard_of(host, profile):
    class Prune(toys.ToyMerge):
        name = "prune/toy"

        def traits(self, settings):
            from kistack.plugins.stages import Out, Port, Traits

            return Traits(
                consumes={"model": Port(kind="model", where={"format": "toy"})},
                produces={"model": Out(kind="model", like="model")},
            )

    own = load_host(entry_points=False, extra={"toys": toys, "prune": Registers(stages=[Prune])})
    pipeline = compose(plan("prune/toy", "tune/toy", "quantize/toy"), profile, own)
    assert pipeline.delivered["model"].type.line == ("prune/toy", "tune/toy", "quantize/toy")


def test_two_runtimes_must_be_chosen_between_and_a_step_chooses(host, profile):
    rival = type("Rival", (toys.ToyRuntime,), {"name": "runtime/rival"})
    own = load_host(entry_points=False, extra={"toys": toys, "rival": Registers(runtimes=[rival])})
    with pytest.raises(PlanError, match="runtime/rival or runtime/toy could open model toy"):
        compose(plan(), profile, own)
    pipeline = compose(plan("runtime/rival", "retrieve/toy"), profile, own)
    answer = next(n for n in pipeline.nodes if n.label == "answer/items" and "index" in n.inputs)
    assert answer.openers["model"].stage == "runtime/rival"


def test_a_metric_the_runtime_cannot_give_is_said_to_be_unavailable(host, profile):
    pipeline = compose(plan("quantize/toy"), profile, host)
    assert "no loglikelihood" in pipeline.systems["plan"].unavailable["evaluate/toy-perplexity"]
    assert "evaluate/toy-perplexity" in pipeline.systems["baseline"].scores


def test_spelled_out_defaults_and_positions_do_not_change_keys(host, profile):
    short = compose(plan("retrieve/toy", "tune/toy"), profile, host)
    long = compose(
        plan("retrieve/toy", Step(use="tune/toy", with_={"rank": 4}, as_="mine"), deliver=("mine",)), profile, host
    )
    keys = [{n.key for n in p.nodes if n.label == "tune/toy"} for p in (short, long)]
    assert keys[0] == keys[1]


class RuledSettings(toys.TuneSettings):
    @model_validator(mode="after")
    def _together(self):
        if self.rank > 4 and self.passages == "never":
            raise ValueError("a rank above 4 needs passages")
        return self


class Ruled(toys.ToyTune):
    name = "tune/ruled"
    Settings = RuledSettings


def test_a_rule_about_several_settings_is_told_in_its_own_words(profile):
    ruled = SimpleNamespace(kistack_register_tuners=hookimpl(lambda: [Ruled]))
    host = load_host(entry_points=False, extra={"toys": toys, "ruled": ruled})
    plan = Plan.model_validate({"steps": [{"use": "tune/ruled", "with": {"rank": 8, "passages": "never"}}]})
    with pytest.raises(PlanError) as caught:
        compose(plan, profile, host)
    [problem] = caught.value.problems
    assert problem.message == "tune/ruled: a rank above 4 needs passages"
    assert problem.hint.startswith("its settings: ")


def test_opening_settings_change_what_is_opened_but_not_the_index(host, profile):
    two = compose(plan("retrieve/toy"), profile, host)
    four = compose(plan(Step(use="retrieve/toy", with_={"top_k": 4})), profile, host)
    index = [next(n.key for n in p.nodes if n.label == "retrieve/toy") for p in (two, four)]
    answers = [p.systems["plan"].answers for p in (two, four)]
    assert index[0] == index[1]
    assert answers[0] != answers[1]


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"corpus__identity": "corpus-2"}, {"retrieve/toy", "pairs/passages", "tune/toy"}),
        ({"pairs__identity": "pairs-2"}, {"pairs/passages", "tune/toy"}),
        ({"model__identity": "other"}, {"source/toy", "tune/toy"}),
    ],
)
def test_keys_follow_the_inputs(host, profile, change, moved):
    a = compose(plan("retrieve/toy", "tune/toy"), profile, host)
    b = compose(plan("retrieve/toy", "tune/toy"), small_profile(**change), host)
    keys = [{n.label: n.key for n in p.steps} for p in (a, b)]
    assert {label for label in keys[0] if keys[0][label] != keys[1][label]} == moved


def test_the_seed_counts_only_where_a_stage_is_seeded(host, profile):
    a, b = (compose(plan("retrieve/toy", "tune/toy", seed=s), profile, host) for s in (0, 1))
    keys = [{n.label: n.key for n in p.steps} for p in (a, b)]
    assert {label for label in keys[0] if keys[0][label] != keys[1][label]} == {"tune/toy"}


def test_folding_adds_seconds_takes_the_largest_memory_and_counts_the_bundle(host, profile):
    e = compose(plan("retrieve/toy", "tune/toy", "quantize/toy"), profile, host).estimate
    assert e.costs["seconds"] == pytest.approx(0.1 + 1 + (1 + 40 / 90) + 5 + 0.5 + 1)
    assert e.costs["peak_bytes"] == pytest.approx(PYTHON_BYTES + 1e6)  # an opened toy index
    assert e.costs["bytes"] == 1000 + 400
    assert e.costs["latency_seconds"] == pytest.approx(1000 / 1e4 + 0.01)


def test_redo_counts_what_depends_on_a_slot(host, profile):
    pipeline = compose(plan("retrieve/toy", "tune/toy", "quantize/toy"), profile, host)
    assert pipeline.redo("pairs").costs["seconds"] == pytest.approx(1 + 40 / 90 + 5 + 0.5 + 1)
    assert pipeline.redo("corpus").costs["seconds"] == pytest.approx(1 + 1 + 40 / 90 + 5 + 0.5 + 1)
    assert compose(plan("retrieve/toy"), profile, host).redo("pairs").costs["seconds"] == 0


def test_an_estimate_without_bytes_names_the_plugin(host, profile):
    from kistack.domain.records import Estimate

    silent = type("Silent", (toys.ToyTune,), {"name": "tune/silent", "estimate": lambda *a: Estimate({}, {})})
    own = load_host(entry_points=False, extra={"toys": toys, "silent": Registers(tuners=[silent])})
    with pytest.raises(PlanError, match="does not say how many bytes"):
        compose(plan("tune/silent"), profile, own)


def test_a_stage_that_raises_while_composing_is_named_with_its_plugin(host, profile):
    def fail(*a):
        raise ZeroDivisionError("oops")

    bad = type("Bad", (toys.ToyTune,), {"name": "tune/bad", "estimate": fail})
    own = load_host(entry_points=False, extra={"toys": toys, "bad-plugin": Registers(tuners=[bad])})
    with pytest.raises(PlanError, match=r"plugin bad-plugin: tune/bad\.estimate raised ZeroDivisionError: oops"):
        compose(plan("tune/bad"), profile, own)


@settings(max_examples=60, deadline=None)
@given(st.permutations(list(USES.values())))
def test_arrange_finds_an_order_that_composes_whatever_is_given(uses):
    host = load_host(entry_points=False, extra={"toys": toys})
    arranged = arrange([Step(use=u) for u in uses], host)
    assert [s.use for s in arranged] == [USES[t] for t in TECHNIQUES]
    compose(Plan(steps=arranged), small_profile(), host)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*USES.values(), "merge/toy", "pairs/passages", "nope/x"]), max_size=6))
def test_any_list_of_steps_composes_or_is_refused_with_reasons(uses):
    host = load_host(entry_points=False, extra={"toys": toys})
    try:
        pipeline = compose(plan(*uses), small_profile(), host)
    except PlanError as error:
        assert error.problems
        assert all(p.message for p in error.problems)
    else:
        assert {n.step for n in pipeline.nodes if n.step is not None and not n.auto} <= set(range(len(uses)))


def test_plan_of_names(host):
    assert [s.use for s in plan_of("quantize+retrieve", host).steps] == ["retrieve/toy", "quantize/toy"]
    assert plan_of("nothing", host).steps == ()
    with pytest.raises(InputError, match="no technique 'prune'"):
        plan_of("prune", host)
