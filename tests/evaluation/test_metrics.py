import pytest

from kistack.domain.scenario import Scenario, load_scenario
from kistack.errors import InvalidInput, ScenarioError
from kistack.evaluation.metrics import check_metric, known_metrics
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.plugins.stages import Settings, Stage, Traits


class Cutoffs(Settings):
    cutoffs: tuple[int, ...] = (1, 5)


class Needing(Settings):
    pattern: str


def evaluator(its_name, given, settings=Settings):
    class Evaluate(Stage):
        name = f"evaluate/{its_name}"
        Settings = settings

        def traits(self, settings):
            return Traits(metrics=given)

    return Evaluate


def host_of(*classes):
    class Plugin:
        @hookimpl
        def kistack_register_evaluators(self):
            return classes

    return load_host(entry_points=False, extra={"own": Plugin()})


WORDS = evaluator("words", ("contained", "exact_match"))
RANKS = evaluator("ranks", ("recall@1", "recall@5"), Cutoffs)


def test_a_metric_that_no_evaluator_gives_is_refused_with_close_names():
    host = host_of(WORDS, RANKS)
    for known in ("contained", "recall@1", "recall@20", "bytes", "peak_bytes"):
        check_metric(known, host)
    with pytest.raises(InvalidInput, match="no installed evaluator gives 'contaned'") as caught:
        check_metric("contaned", host)
    assert caught.value.exit_code == 2
    assert caught.value.hint == "did you mean contained?"
    with pytest.raises(InvalidInput) as caught:
        check_metric("zzz", host)
    assert caught.value.hint == "known: bytes, contained, exact_match, peak_bytes, recall@1"
    for name in ("recall@", "recall@0", "recall@k"):
        with pytest.raises(InvalidInput):
            check_metric(name, host)


@pytest.mark.parametrize(
    "classes",
    [
        (),
        (WORDS, evaluator("silent", ())),
        (WORDS, evaluator("asking", ("form",), Needing)),
    ],
)
def test_what_cannot_be_known_is_not_refused(classes):
    host = host_of(*classes)
    assert known_metrics(host) == ()
    check_metric("contaned", host)


def test_the_line_of_the_file_is_told(tmp_path):
    file = tmp_path / "kistack.yaml"
    file.write_text("schema: 1\nname: x\ntask:\n  kind: facts\n  metric: contaned\nmodels: {base: package:x}\n")
    with pytest.raises(ScenarioError, match=r"kistack\.yaml:5: task\.metric"):
        check_metric("contaned", host_of(WORDS), load_scenario(file))
    built = Scenario.model_validate({"name": "x", "task": {"metric": "contaned"}, "models": {"base": "package:x"}})
    with pytest.raises(InvalidInput, match=r"task\.metric"):
        check_metric("contaned", host_of(WORDS), built)
