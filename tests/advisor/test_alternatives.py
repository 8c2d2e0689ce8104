from functools import cache

from advisor import onpaper
from advisor.onpaper import profile_of

from kistack.advisor.alternatives import alternatives
from kistack.advisor.judging import Bench
from kistack.advisor.recommend import recommended
from kistack.domain.scenario import Scenario
from kistack.plugins.host import load_host


@cache
def host():
    return load_host(entry_points=False, extra={"paper": onpaper}, disabled=())


def bench(**facts):
    return Bench(Scenario(name="x", models={"base": "paper:135m"}), profile_of(**facts), host())


def others(**facts):
    return {a.id: a for a in alternatives(bench(**facts))}


def test_nothing_else_is_named_where_the_techniques_are_the_answer():
    assert others() == {}


def test_short_answers_that_stand_in_the_documents_may_be_looked_up():
    found = others(pairs__question_words=8.0)["a-lookup-would-do"]
    assert "table" in found.instead
    assert found.sources
    assert "a-lookup-would-do" not in others(pairs__question_words=8.0, pairs__answer_words=30.0)


def test_a_corpus_that_fits_the_prompt():
    assert "cached prompt" in others(corpus__tokens=3000.0)["corpus-fits-the-prompt"].instead


def test_a_base_that_knows_by_the_probe_or_by_expectation():
    by_probe = others(model="7b", probe__closed_book=0.92, freshness__changed_per_day=0.0)
    assert "base-knows-it-already" in by_probe
    assert "bare-model-is-enough" not in by_probe
    near = others(model="7b", scenario__indifference=60.0, train="server", serve="server")
    assert "60 points do not matter here" in near["bare-model-is-enough"].because


def test_a_gap_that_no_technique_closes_names_the_base_that_would():
    found = others(scenario__at_least=0.8)["gap-needs-another-model"]
    assert "of the 80 points asked for" in found.because
    assert "parameters would reach it" in found.instead
    assert "full fine-tuning" in found.instead
    assert "Biderman" in found.sources[0]
    # The larger the gap, the larger the base; beyond all there is it says so.
    near = others(scenario__at_least=0.76)["gap-needs-another-model"]
    assert 134.5e6 < size_of(near) < size_of(found)
    assert "no base model up to 1000 times" in others(scenario__at_least=1.0)["gap-needs-another-model"].instead
    assert "gap-needs-another-model" not in others(scenario__at_least=0.3)


def size_of(alternative):
    number, unit = alternative.instead.split("about ")[1].split()[:2]
    return float(number) * {"M": 1e6, "G": 1e9}[unit]


def test_they_stand_in_the_notes_and_in_the_context():
    advice = recommended(bench(scenario__at_least=0.8))
    (found,) = [a for a in advice.context["alternatives"] if a["id"] == "gap-needs-another-model"]
    assert found["because"] in advice.notes
    assert set(found) == {"id", "because", "instead", "sources"}
