"""The demands on evaluators, sources, profilers and quantizers, each met and each broken."""

import json
from types import SimpleNamespace

import pytest
import toys

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.records import Measurement
from kistack.errors import ModelError
from kistack.evaluation.scoring import SCORES_FILE, Scores
from kistack.plugins.stages import Traits
from kistack.testing.checks import kinds
from kistack.testing.findings import Fault, Skip
from kistack.testing.texts import tiny_answers


def scored(tmp_path, scores):
    folder = tmp_path / "scores"
    folder.mkdir()
    # As an evaluator would write it by hand: Scores.write itself refuses NaN.
    (folder / SCORES_FILE).write_text(json.dumps(scores.to_json()))
    made = {"scores": Artifact("scores", "json", folder, "", "s")}
    (tmp_path / "answers").mkdir()
    return SimpleNamespace(made=made, given={"answers": (tiny_answers(tmp_path / "answers"),)})


def test_sound_scores_pass(tmp_path):
    scores = Scores()
    scores.add_mean("overlap", [1.0] * 8)
    subject = scored(tmp_path, scores)
    kinds.scores_readable(subject)
    kinds.metrics_named(subject)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (Scores(items={"a": [1.0]}, totals={"a": Measurement(1, 1, 1)}), "1 numbers for 8 answers"),
        (Scores(items={"a": [float("nan")] * 8}, totals={"a": Measurement(1, 1, 1)}), "item that is no number"),
        (Scores(totals={"a": Measurement(float("nan"), 0, 1)}), "'a' is no number"),
        (Scores(totals={"a": Measurement(3, 0, 1)}), "outside its interval"),
        (Scores(), "no metric and no reason"),
        (Scores(totals={"a": Measurement(1, 0, 1)}, unavailable={"a": "no"}), "both there and unavailable"),
    ],
)
def test_scores_that_mislead_are_told(tmp_path, scores, said):
    with pytest.raises(Fault, match=said):
        kinds.scores_readable(scored(tmp_path, scores))


def test_a_metric_with_an_odd_name_is_told(tmp_path):
    with pytest.raises(Fault, match="no plain name"):
        kinds.metrics_named(scored(tmp_path, Scores(totals={"My Metric": Measurement(1, 0, 1)})))


def of_source(stage, reference="toy:base", **more):
    settings = toys.ReferenceSettings(reference=reference)
    known = {"name": "source/toy", "stage": stage, "settings": settings, "resolved": settings}
    return SimpleNamespace(**known, traits=Traits(), made={}, **more)


class Greedy(toys.ToySource):
    def claims(self, reference):
        return toys.ReferenceSettings(reference=reference)


class Deaf(toys.ToySource):
    def claims(self, reference):
        return None


class Strict(toys.ToySource):
    def inspect(self, settings):
        if settings.reference != "toy:base":
            raise ModelError(f"{settings.reference}: there is none", "toy:base")
        return super().inspect(settings)


class Crashing(toys.ToySource):
    def inspect(self, settings):
        raise KeyError("deep inside")


class Nameless(toys.ToySource):
    def inspect(self, settings):
        return Type("model", "toy")


def test_a_source_claims_its_own_and_no_other():
    kinds.claims_its_own(of_source(toys.ToySource()))
    with pytest.raises(Fault, match="claims 'no-such-scheme"):
        kinds.claims_its_own(of_source(Greedy()))
    with pytest.raises(Fault, match="does not claim 'toy:base'"):
        kinds.claims_its_own(of_source(Deaf()))


def test_a_source_names_what_is_missing():
    kinds.missing_named(of_source(Strict()))
    with pytest.raises(Fault, match="describes a model that is not there"):
        kinds.missing_named(of_source(toys.ToySource()))
    with pytest.raises(Fault, match="raised KeyError"):
        kinds.missing_named(of_source(Crashing()))
    with pytest.raises(Skip):
        kinds.missing_named(of_source(Deaf()))


def test_a_source_leaves_what_it_describes(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("x" * 4000)
    subject = of_source(toys.ToySource())
    subject.made["model"] = Artifact("model", "toy", folder, "", "m")
    kinds.inspects_the_same(subject)
    subject.made["model"] = Artifact("model", "hf", folder, "", "m")
    with pytest.raises(Fault, match="says format toy"):
        kinds.inspects_the_same(subject)
    with pytest.raises(Fault, match="no identity"):
        kinds.inspects_the_same(of_source(Nameless()))


def measured(facts, **traits):
    outcome = SimpleNamespace(facts={"hardware": facts})
    traits = {"produces": {"hardware": None}, **traits}
    return SimpleNamespace(done=SimpleNamespace(outcome=outcome), traits=Traits(**traits))


def test_a_profiler_leaves_facts_of_a_machine():
    kinds.facts_for_the_profile(measured({"bytes": 1.0, "disk": 2.0}, timed=True))
    with pytest.raises(Fault, match="no fact but its bytes"):
        kinds.facts_for_the_profile(measured({"bytes": 1.0}, timed=True))
    with pytest.raises(Fault, match="timed=True"):
        kinds.facts_for_the_profile(measured({"bytes": 1.0, "disk": 2.0}))


def quantized(tmp_path, size, facets):
    folders = []
    for name, count in (("before", 100_000), ("after", size)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "weights").write_bytes(bytes(count))
        folders.append(tmp_path / name)
    before = Artifact("model", "toy", folders[0], "", "b", {"precision": "fp32"})
    after = Artifact("model", "toy", folders[1], "", "a", facets)
    traits = toys.ToyQuantize().traits(None)
    return SimpleNamespace(given={"model": (before,)}, made={"model": after}, traits=traits)


def test_a_quantizer_stores_fewer_bits_and_says_so(tmp_path):
    kinds.smaller(quantized(tmp_path / "a", 50_000, {"precision": "int8"}))
    with pytest.raises(Fault, match="takes 200000 bytes"):
        kinds.smaller(quantized(tmp_path / "b", 200_000, {"precision": "int8"}))
    with pytest.raises(Fault, match="facets of its source"):
        kinds.smaller(quantized(tmp_path / "c", 50_000, {"precision": "fp32"}))
