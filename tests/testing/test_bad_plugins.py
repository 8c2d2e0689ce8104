"""Every way of breaking the contract is found by the check that names it, and a sound stage has none."""

import time
from types import SimpleNamespace

import bad.rival
import bad.sound
import bad.stages
import pytest
import toys

from kistack.bundle.workspace import Workspace
from kistack.plugins import patience
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.testing import CHECKS, ConformanceError, check_stage, probing, subject
from kistack.testing.subject import Subject

#: Stage, the check that must fail, and what it says.
FAULTS = [
    ("wrong-kind", "makes-what-it-says", "pairs.jsonl is missing"),
    ("mutating", "inputs-untouched", "port 'corpus'"),
    ("undetermined", "same-again", "id differs"),
    ("secretly-seeded", "seed-honest", "order differs"),
    ("lying-memory", "estimate-memory", "B of memory where it estimated"),
    ("lying-time", "estimate-time", "where it estimated 3.6e+03"),
    ("lying-bytes", "estimate-bytes", "where it estimated 1e+09"),
    ("calling", "no-network", "127.0.0.1"),
    ("not-a-number", "outputs-as-declared", "nan"),
    ("nan-scores", "finds", "NaN"),
    ("half-written", "no-leftovers", "documents.jsonl.tmp"),
    ("unresumable", "resumes", "FileExistsError"),
    ("scattering", "keeps-to-its-folders", "cache.db"),
    ("forking", "no-processes-left", "comes back out of run"),
    ("abandoning", "no-processes-left", "leaves a process running"),
    ("pickling", "no-pickle", "index.dat is a pickle"),
    ("unpickling", "no-pickle", "SoundSettings"),
    ("swallowing", "failure-told", "reports success"),
    ("dividing", "empty-input-named", "ZeroDivisionError"),
    ("overstating", "outputs-as-declared", "bytes"),
    ("moody", "estimate-pure", "two answers"),
    ("heavy", "estimate-light", "scipy"),
    ("dawdling", "estimate-fast", "ms"),
    ("shrinking", "estimate-grows", "seconds falls"),
    ("demanding", "estimate-unknowing", "KeyError"),
    ("mute", "settings-documented", "'wait'"),
    ("mute", "settings-bounded", "'wait'"),
    ("vague", "settings-units", "'timeout'"),
    ("remembering", "stateless", "last"),
    ("unfinding", "finds", "The bridge of"),
]


def faults_of(stage, plugin, *only):
    """Name to message of the checks that fail."""
    with pytest.raises(ConformanceError) as found:
        check_stage(stage, plugin=plugin, only=only)
    return {r.check.name: r.message for r in found.value.report.of("failed")}


@pytest.mark.system
@pytest.mark.parametrize(("stage", "check", "said"), FAULTS)
def test_the_check_that_names_the_fault_finds_it(stage, check, said):
    found = faults_of(f"retrieve/{stage}", bad.stages, check)
    assert said in found[check]


def test_all_of_them_are_tried():
    assert {s.name.partition("/")[2] for s in bad.stages.ALL} == {name for name, _, _ in FAULTS} | {
        "hanging",
        "pondering",
    }


@pytest.mark.system
def test_what_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(subject, "LONGEST_SECONDS", 3.0)
    assert "had not ended after 3 seconds" in faults_of("retrieve/hanging", bad.stages, "ends")["ends"]


@pytest.mark.system
def test_what_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(patience, "CALL_SECONDS", 1.0)
    assert "did not answer" in faults_of("retrieve/pondering", bad.stages, "estimate-complete")["estimate-complete"]


@pytest.mark.system
@pytest.mark.parametrize(
    ("module", "stage", "check", "said"),
    [
        ("raising", "raising", "registered", "RuntimeError: broken on purpose"),
        ("ending", "ending", "registered", "cannot be imported"),
        ("hanging_import", "hanging", "registered", "had not ended"),
        ("misspelt", "misspelt", "registered", "did you mean 'kistack_register_retrievers'"),
        ("newer", "newer", "registered", "update kistack"),
        ("slow", "slow", "light-import", "takes 1."),
        ("printing", "printing", "quiet", "hello from a plugin"),
    ],
)
def test_what_is_wrong_with_an_import_is_found(monkeypatch, module, stage, check, said):
    monkeypatch.setattr(probing, "LONGEST_SECONDS", 5.0)
    assert said in faults_of(f"retrieve/{stage}", f"bad.{module}", check)[check]


@pytest.mark.system
def test_a_name_that_another_plugin_has_is_found(monkeypatch):
    def both(self):
        return subject.load_host(entry_points=False, extra={"toys": toys, "rival": bad.rival})

    monkeypatch.setattr(Subject, "host", property(both))
    assert "rival and toys" in faults_of(bad.rival.Rival, bad.rival, "own-name")["own-name"]


def test_a_sound_stage_passes_everything_but_the_readme_it_does_not_have():
    report = check_stage(bad.sound.Sound, plugin=bad.sound, expected={"readme": "it is a test's own"})
    assert [r.check.name for r in report.of("failed")] == []
    assert [r.check.name for r in report.of("expected")] == ["readme"]
    assert len(report.of("passed")) >= 40
    assert len(CHECKS) >= 60


def test_a_stage_that_never_answers_costs_one_wait_and_not_the_advice(toy_project, monkeypatch):
    monkeypatch.setattr(patience, "CALL_SECONDS", 0.2)
    pondering = SimpleNamespace(kistack_register_retrievers=hookimpl(lambda: [bad.stages.Pondering]))
    host = load_host(entry_points=False, extra={"toys": toys, "pondering": pondering})
    start = time.perf_counter()
    advice = Workspace.find(toy_project, host=host).advise()
    assert time.perf_counter() - start < 20
    assert advice.best is not None
    assert "pondering" not in str(advice.best.plan)
    told = [r.needs for c in advice.candidates for r in c.rejections]
    assert any("retrieve/pondering.estimate did not answer within 0.2 seconds" in line for line in told)
