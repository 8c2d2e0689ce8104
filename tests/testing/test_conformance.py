"""What ``check_stage`` makes of its checks: reports, expected failures, and what it is told wrongly."""

import bad.sound
import bad.stages
import pytest
import toys

from kistack.testing import CHECKS, ConformanceError, check_stage, stages_of
from kistack.testing.conformance import _outcome
from kistack.testing.findings import Check, Fault, Report, Result, Skip
from kistack.testing.owners import find_plugin
from kistack.testing.subject import Subject

CHEAP = ("described", "versioned", "settings-documented", "settings-bounded")


def check(stage, **options):
    return check_stage(stage, plugin=bad.stages, **options)


def test_there_are_many_checks_and_each_says_what_it_demands_and_why():
    assert len(CHECKS) >= 60
    for name, made in CHECKS.items():
        assert made.name == name == name.lower()
        assert made.demand[0].islower()
        assert not made.demand.endswith(".")
        assert len(made.explanation) > 40, name


def test_a_report_names_stage_check_demand_fault_and_remedy():
    with pytest.raises(ConformanceError) as found:
        check("retrieve/mute", only=CHEAP)
    said = str(found.value)
    assert "retrieve/mute: 2 of 4 checks failed" in said
    assert "settings-documented: setting 'wait' has no description" in said
    assert "demanded: a stage describes every setting" in said
    assert "remedy: wait: … = Field(" in said
    assert isinstance(found.value, AssertionError)


def test_what_is_expected_with_a_reason_passes_and_is_told_in_the_report():
    reasons = {"settings-documented": "it is shown nowhere", "settings-bounded": "any number will do"}
    report = check("retrieve/mute", only=CHEAP, expected=reasons)
    assert [r.check.name for r in report.of("expected")] == ["settings-documented", "settings-bounded"]
    assert "it is shown nowhere" in report.of("expected")[0].message
    assert str(report) == "retrieve/mute: 2 passed, 2 expected"


def test_an_expectation_that_is_not_met_any_more_fails():
    with pytest.raises(ConformanceError, match=r"expected to fail .*, and did not"):
        check("retrieve/mutating", only=CHEAP, expected={"described": "once it had no summary"})


def test_an_expectation_of_a_check_that_says_nothing_fails_too():
    with pytest.raises(ConformanceError, match="take it out of expected"):
        check("retrieve/mutating", only=("smaller",), expected={"smaller": "it is no quantizer"})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"expected": {"described": " "}}, "gives no reason"),
        ({"expected": {"discribed": "a reason"}}, "is no check"),
        ({"only": ["discribed"]}, "is no check"),
    ],
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        check("retrieve/mutating", **options)


def test_a_stage_that_nobody_registers_is_told():
    with pytest.raises(ConformanceError, match="nothing registers retrieve/none"):
        check("retrieve/none", only=CHEAP)
    with pytest.raises(ConformanceError, match="no installed plugin registers retrieve/sound"):
        check_stage(bad.sound.Sound, only=("registered",))


def test_class_instance_and_name_are_the_same():
    for stage in (bad.sound.Sound, bad.sound.Sound(), "retrieve/sound"):
        assert check_stage(stage, plugin=bad.sound, only=CHEAP).stage == "retrieve/sound"


def test_a_plugin_is_found_by_the_module_of_a_stage():
    assert find_plugin("kistack.plugins.builtins").name == "kistack"
    assert find_plugin("nowhere.at.all") is None
    found = find_plugin("kistack_peft.lora")
    assert (found.name, found.module, found.distribution) == ("peft", "kistack_peft.hooks", "kistack-peft")


def test_the_stages_of_a_plugin_are_found_by_its_name_or_its_distribution():
    assert stages_of("kistack-peft") == stages_of("peft") == ("merge/peft", "tune/lora")
    with pytest.raises(LookupError, match="pip install -e"):
        stages_of("kistack-nothing")


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (lambda _: None, "passed"),
        (Skip("because"), "skipped"),
        (Fault("wrong", "mend it"), "failed"),
        (ZeroDivisionError("in the plugin"), "failed"),
    ],
)
def test_what_a_check_raises_becomes_its_result(tmp_path, act, status):
    def run(subject):
        if isinstance(act, Exception):
            raise act

    subject = Subject(toys.ToyTune(), find_plugin("", toys), tmp_path)
    result = _outcome(Check("x", "does", run), subject)
    assert result.status == status
    if isinstance(act, ZeroDivisionError):
        assert "tune/toy (plugin toys) raised ZeroDivisionError" in result.message


def test_a_report_without_failures_counts():
    made = Check("x", "does", lambda _: None)
    other = Check("y", "does", lambda _: None, kinds=("retrieve",))
    results = (Result(made, "passed"), Result(other, "skipped", "is made on retrieve only"))
    assert str(Report("tune/x", results)) == "tune/x: 1 passed, 1 skipped"


def test_a_report_names_what_could_say_nothing():
    made = Check("x", "does", lambda _: None)
    report = Report("tune/x", (Result(made, "passed"), Result(made, "skipped", "it has no settings")))
    assert str(report) == "tune/x: 1 passed, 1 skipped\n  x says nothing: it has no settings"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no README"),
        ("## When\n## Limits\n`retrieve/sound`", "does not say what it costs, its sources"),
        ("## When\n## Cost\n## Limits\n## Source\nwords", "does not name"),
    ],
)
def test_a_readme_is_told_all_it_lacks_at_once(tmp_path, text, told):
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    subject = Subject(toys.ToyTune(), find_plugin("", toys), tmp_path, readme=tmp_path / "README.md")
    result = _outcome(CHECKS["readme"], subject)
    assert result.status == "failed"
    assert told in result.message
    settings = list(toys.ToyTune.Settings.model_fields)
    if text:
        assert all(repr(name) in result.message and f"`{name}`" in result.remedy for name in settings)
