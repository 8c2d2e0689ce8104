import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import pytest
import toys

from kistack.composition.arranging import plan_of
from kistack.domain.facts import Profile
from kistack.domain.records import RunRecord
from kistack.errors import InputError, PluginError
from kistack.plugins import patience
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.plugins.stages import Settings, Stage


class Plugin:
    def __init__(self, **hooks):
        for name, function in hooks.items():
            setattr(self, name, hookimpl(function))


def host_with(**plugins):
    return load_host(entry_points=False, extra={n.replace("_", "-"): p for n, p in plugins.items()})


def state(host, name):
    return next(p for p in host.plugins if p.name == name)


def tuner(name="tune/other", **extra):
    return type("Other", (Stage,), {"name": name, **extra})


def test_toys_and_the_core_come_in_by_the_same_door():
    host = host_with(toys=toys)
    assert {"answer/items", "pairs/passages", "select/documents", "select/pairs"} == set(state(host, "kistack").stages)
    assert "tune/toy" in state(host, "toys").stages
    assert host.problems == ()
    assert [s.name for s in host.stages_of("tune")] == ["tune/toy"]
    assert [s.name for s in host.automatic()] == ["merge/toy", "pairs/passages", "signals/toy"]


def test_a_plugin_that_raises_is_named_and_harms_no_other():
    def fail():
        raise RuntimeError("broken on purpose")

    host = host_with(bad=Plugin(kistack_register_tuners=fail), toys=toys)
    assert "tune/toy" in host.stages
    assert state(host, "bad").state == "failed"
    assert "kistack_register_tuners raised RuntimeError: broken on purpose" in host.problems[0]


def test_a_misspelt_hook_is_named_with_the_close_one():
    def nothing():
        return []

    host = host_with(typo=Plugin(kistack_register_tunerz=nothing), toys=toys)
    assert "tune/toy" in host.stages
    assert "kistack_register_tunerz" in host.problems[0]
    assert "did you mean 'kistack_register_tuners'?" in host.problems[0]


def test_a_hook_with_wrong_arguments_is_named():
    host = host_with(wrong=Plugin(kistack_before_step=lambda nonsense: None), toys=toys)
    assert state(host, "wrong").state == "failed"
    assert "tune/toy" in host.stages


def test_two_plugins_claiming_one_name_make_only_that_name_unusable():
    rival = Plugin(kistack_register_tuners=lambda: [tuner("tune/toy")])
    host = host_with(toys=toys, rival=rival)
    assert "tune/toy" not in host.stages
    assert "retrieve/toy" in host.stages
    with pytest.raises(InputError, match="claimed by two plugins: rival and toys"):
        host.get("tune/toy")


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([object], "is not a subclass"),
        ([tuner("Tune Other")], "must read kind/name"),
        ([tuner("quantize/x")], "must be named tune/"),
        ([tuner("tune/x", Settings=dict)], "Settings is not a subclass"),
        (7, "must return a list"),
    ],
)
def test_what_is_registered_is_checked(listed, said):
    host = host_with(bad=Plugin(kistack_register_tuners=lambda: listed))
    assert said in host.problems[0]
    assert state(host, "bad").stages == ()


def test_a_stage_that_cannot_be_created_is_named():
    def refuse(self):
        raise ValueError("no")

    host = host_with(bad=Plugin(kistack_register_tuners=lambda: [tuner(__init__=refuse)]))
    assert "tune/other cannot be created" in host.problems[0]


def test_a_kind_with_its_own_hook_is_refused_among_other_stages():
    host = host_with(bad=Plugin(kistack_register_stages=lambda: [tuner("tune/x")]))
    assert "has its own hook" in host.problems[0]


def test_unknown_names_say_what_is_close_or_installed():
    host = host_with(toys=toys)
    with pytest.raises(InputError) as close:
        host.get("retrieve/toys")
    assert "did you mean retrieve/toy?" in close.value.hint
    with pytest.raises(InputError) as far:
        host.get("tune/qqqqqqqqqqqqqq")
    assert "installed of that kind: tune/toy" in far.value.hint


def test_disabled_plugins_stay_out(monkeypatch):
    monkeypatch.setenv("KISTACK_DISABLE_PLUGINS", "toys, nothing")
    host = host_with(toys=toys)
    assert state(host, "toys").state == "disabled"
    with pytest.raises(InputError) as error:
        host.get("tune/toy")
    assert error.value.hint.endswith("(plugins that are switched off: toys)")
    assert "tune/toy" not in host.stages


def test_strict_turns_a_fault_into_an_error():
    with pytest.raises(PluginError, match="plugin bad"):
        load_host(entry_points=False, strict=True, extra={"bad": Plugin(kistack_register_tuners=lambda: 7)})


def test_lifecycle_hooks_reach_everyone_and_their_errors_are_lines():
    seen = []

    def fail(run, use, key):
        raise KeyError("nope")

    host = host_with(
        bad=Plugin(kistack_before_step=fail),
        good=Plugin(kistack_before_step=lambda run, use: seen.append((run, use))),
    )
    lines = host.call("kistack_before_step", run="r", use="tune/toy", key="k")
    assert seen == [("r", "tune/toy")]
    assert lines == ["plugin bad: kistack_before_step raised KeyError: 'nope'"]
    record = RunRecord("r", "done", {}, "", {})
    assert host.call("kistack_run_finished", record=record) == []


def test_judgements_and_policies_are_gathered(tmp_path):
    host = host_with(
        one=Plugin(kistack_register_policies=lambda: [tmp_path / "a.yaml"]),
        two=Plugin(kistack_judge_candidate=lambda candidate, profile: ["reason"]),
    )
    assert host.policies() == [tmp_path / "a.yaml"]
    assert host.judge(None, Profile({})) == ["reason"]


def test_guard_names_the_plugin_and_lets_kistacks_own_errors_pass():
    host = host_with(toys=toys)
    with pytest.raises(PluginError, match=r"plugin toys: tune/toy\.estimate raised ZeroDivisionError"):
        host.guard("tune/toy", "estimate", lambda: 1 / 0)

    def own():
        raise InputError("mine")

    with pytest.raises(InputError, match="mine"):
        host.guard("tune/toy", "estimate", own)


def test_a_stage_that_never_answers_is_waited_for_once(monkeypatch):
    monkeypatch.setattr(patience, "CALL_SECONDS", 0.1)
    host, asked = host_with(toys=toys), []

    def ponder():
        asked.append(1)
        while True:
            try:
                time.sleep(30)
            except Exception:  # noqa: BLE001 - as some plugins do
                continue

    for _ in range(2):
        with pytest.raises(PluginError, match=r"plugin toys: tune/toy\.estimate did not answer within 0\.1 seconds"):
            host.guard("tune/toy", "estimate", ponder)
    assert asked == [1]
    assert host.guard("tune/toy", "traits", lambda: 7) == 7


def test_what_opens_or_measures_is_waited_for_as_long_as_it_takes(monkeypatch):
    monkeypatch.setattr(patience, "CALL_SECONDS", 0.05)
    host = host_with(toys=toys)
    for what in ("open", "run"):
        assert host.guard("tune/toy", what, lambda what=what: time.sleep(0.2) or what) == what


def test_openers_are_found_by_format_and_ability():
    host = host_with(toys=toys)
    assert [s.name for s in host.openers("model", "toyq")] == ["runtime/toyq"]
    assert host.openers("model", "toyq", ["loglikelihood"]) == []
    assert [s.name for s in host.openers("index", "toy-index", ["search"])] == ["retrieve/toy"]


def test_loading_installed_plugins_imports_nothing_heavy():
    code = textwrap.dedent(
        """
        import sys
        from kistack.plugins.host import load_host
        host = load_host()
        heavy = {"torch", "transformers", "peft", "llama_index", "haystack", "lancedb", "gguf", "xllamacpp", "sklearn"}
        heavy |= {"mlflow"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        assert host.problems == (), host.problems
        for name in sorted(host.stages):
            host.traits(name) if not any(
                f.is_required() for f in host.stages[name].stage.Settings.model_fields.values()
            ) else None
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Alternative(toys.ToyRetrieve):
    """Sorts before the toys' own retriever by its name."""

    name = "retrieve/another"

    def traits(self, settings):
        return replace(super().traits(settings), opt_in=True)


class Alternatives:
    @hookimpl
    def kistack_register_retrievers(self):
        return [Alternative]


def test_what_has_to_be_named_comes_after_the_usual_and_is_not_meant_by_the_technique():
    host = load_host(entry_points=False, extra={"toys": toys, "alternatives": Alternatives()})
    assert [s.name for s in host.stages_of("retrieve")] == ["retrieve/toy", "retrieve/another"]
    assert [s.use for s in plan_of("retrieve+tune", host).steps] == ["retrieve/toy", "tune/toy"]
    assert [s.use for s in plan_of("retrieve/another", host).steps] == ["retrieve/another"]
    alone = load_host(entry_points=False, extra={"alternatives": Alternatives()})
    assert [s.use for s in plan_of("retrieve", alone).steps] == ["retrieve/another"]


def test_two_usual_stages_of_a_technique_have_to_be_told_apart():
    class Second:
        @hookimpl
        def kistack_register_retrievers(self):
            return [type("Second", (toys.ToyRetrieve,), {"name": "retrieve/second"})]

    host = load_host(entry_points=False, extra={"toys": toys, "second": Second()})
    with pytest.raises(InputError, match="several stages can retrieve"):
        plan_of("retrieve", host)


def test_required_settings_keep_a_stage_out_of_automatic_choice():
    class Needy(Settings):
        must: int

    stage = type("Needy", (toys.ToyMerge,), {"name": "merge/needy", "Settings": Needy})
    host = host_with(toys=toys, needy=Plugin(kistack_register_stages=lambda: [stage]))
    assert "merge/needy" in host.stages
    assert "merge/needy" not in [s.name for s in host.automatic()]
