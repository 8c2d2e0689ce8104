"""Six contrasted situations, six recommendations, each for stated reasons: what the README's table shows."""

import re
from pathlib import Path

import pytest
from advisor.onpaper import profile_of

from kistack.advisor.recommend import advise

README = Path(__file__).parents[2] / "README.md"
NO_CORPUS = {"corpus__identity": None, "corpus__documents": None, "corpus__tokens": None}
NO_PAIRS = {"pairs__identity": None, "pairs__train": None, "pairs__answers_in_corpus": None}

SITUATIONS = {
    "facts that change weekly, a 135 M model on a laptop": {
        "model": "135m",
        "freshness__changed_per_day": 0.04,
    },
    "a fixed tone of voice, a 1.7 B model on a phone": {
        "model": "1b7",
        "train": "server",
        "serve": "phone",
        "scenario__task": "behaviour",
        "pairs__train": 800,
        **NO_CORPUS,
    },
    "medical terms, where every point counts, a 7 B model on one GPU": {
        "model": "7b",
        "scenario__indifference": 0.0,
        "train": "server",
        "serve": "server",
        "scenario__task": "both",
        "pairs__train": 3000,
        "freshness__changed_per_day": 1e-4,
    },
    "a corpus that fits the context, a 7 B model on a GPU": {
        "model": "7b",
        "train": "gpu",
        "serve": "gpu",
        "corpus__tokens": 6000,
        "corpus__documents": 12,
        "freshness__changed_per_day": 1e-4,
        **NO_PAIRS,
    },
    "a 7 B model that knows the facts already": {
        "model": "7b",
        "train": "gpu",
        "serve": "gpu",
        "probe__closed_book": 0.93,
        "probe__gold_passage": 0.95,
        "probe__recall": 0.6,
        "probe__pairs": 40,
        "freshness__changed_per_day": 0.0,
    },
    "air-gapped and without pairs, a 1.7 B model on a laptop": {
        "model": "1b7",
        "scenario__local_only": True,
        **NO_PAIRS,
    },
}


def table():
    """The README's rows: situation to (recommended techniques, rules)."""
    rows = re.findall(r"^\| ([^|]+?) \| \*\*([a-z+]+)\*\* \| ([^|]+?) \|$", README.read_text(), re.MULTILINE)
    return {name: (techniques, set(re.findall(r"`([a-z0-9-]+)`", rules))) for name, techniques, rules in rows}


def test_the_readme_shows_these_situations_and_their_recommendations_differ():
    assert table().keys() == SITUATIONS.keys()
    assert len({techniques for techniques, _ in table().values()}) == len(SITUATIONS)
    assert len({frozenset(rules) for _, rules in table().values()}) == len(SITUATIONS)


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_is_advised_as_the_readme_says_for_the_reasons_it_gives(host, scenario, name):
    advice = advise(scenario, profile_of(**SITUATIONS[name]), host)
    techniques, rules = table()[name]
    assert advice.best.name == techniques
    held = {r.rule for r in advice.best.reasons} | set(advice.context["rules"]["held"])
    assert rules
    assert rules <= held
