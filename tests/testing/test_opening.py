"""What is tried of an opened artifact, and what is demanded of it."""

import copy
import json
from types import SimpleNamespace

import pytest

from kistack.domain.artifacts import Artifact
from kistack.plugins.stages import Opens, Traits
from kistack.testing import LocalContext, run_stage
from kistack.testing.checks import opening
from kistack.testing.findings import Fault, Skip
from kistack.testing.rehearsal import RESULT_FILE, Audition, RehearsedIndex, RehearsedModel

GIVES = ("generate", "stream", "loglikelihood")


def tried(tmp_path, stage, artifact):
    """What the audition leaves of a stage's session."""
    session = stage.open(stage.Settings(), artifact, {})
    made = run_stage(Audition(), LocalContext(tmp_path / "work", {"opened": artifact}, {"opened": session}))["tried"]
    return {**json.loads((made.path / RESULT_FILE).read_text()), "error": ""}


@pytest.fixture
def model(tmp_path):
    return tried(tmp_path, RehearsedModel(), Artifact("model", "rehearsal", tmp_path, "", "m"))


@pytest.fixture
def index(tmp_path, tiny_corpus):
    return tried(tmp_path, RehearsedIndex(), Artifact("index", "rehearsal", tiny_corpus.path, "", "i"))


def opened(kind, found, gives=GIVES):
    return SimpleNamespace(
        traits=Traits(opens=(Opens(kind=kind, format="x", gives=gives),)), opened={"x": found}, kind="retrieve"
    )


def test_the_stand_in_for_a_model_passes(model):
    subject = opened("model", model)
    for demand in (
        opening.opens,
        opening.gives_what_it_says,
        opening.answers_each,
        opening.streams_the_same,
        opening.likelihoods,
    ):
        demand(subject)
    with pytest.raises(Skip):
        opening.finds(subject)


def test_the_stand_in_for_an_index_passes(index):
    subject = opened("index", index, ("search",))
    opening.finds(subject)
    opening.finds_what_is_there(subject)
    with pytest.raises(Skip):
        opening.likelihoods(subject)


def changed(found, change):
    found = copy.deepcopy(found)
    change(found)
    return found


@pytest.mark.parametrize(
    ("demand", "change", "said"),
    [
        ("gives_what_it_says", lambda f: f.update(stream={"error": "KeyError: 1"}), "stream raised KeyError"),
        ("answers_each", lambda f: f["generate"].pop(), "2 answers to 3 prompts"),
        ("answers_each", lambda f: f["generate"].insert(0, "text") or f["generate"].pop(), "generate returns text"),
        ("answers_each", lambda f: f["generate"][0].update(new_tokens=99), "a completion says"),
        ("answers_each", lambda f: f.update(done=[1]), "on_done was told"),
        ("answers_each", lambda f: f["alone"][0].update(text="other"), "a batch answers otherwise"),
        ("streams_the_same", lambda f: f.update(stream=["else"]), "streams 'else'"),
        ("likelihoods", lambda f: f["loglikelihood"].append([0.5, 1]), "log-likelihood of 0.5"),
    ],
)
def test_a_model_that_does_not_keep_it_is_told(model, demand, change, said):
    with pytest.raises(Fault, match=said):
        getattr(opening, demand)(opened("model", changed(model, change)))


@pytest.mark.parametrize(
    ("demand", "change", "said"),
    [
        ("finds", lambda f: f.update(none=[[]]), "a search for nothing"),
        ("finds", lambda f: f["together"].pop(), "2 lists for 3 queries"),
        ("finds", lambda f: f["together"][0].insert(0, "text"), "search returns text"),
        ("finds", lambda f: f["together"][0][0].update(text=""), "no text or no document"),
        ("finds", lambda f: f["together"][0][0].update(score=float("nan")), "no number"),
        ("finds", lambda f: f["together"][0][1].update(score=1e9), "scores rise"),
        ("finds", lambda f: f["alone"][0].pop(), "alone than in a batch"),
        ("finds_what_is_there", lambda f: [p.update(text="?") for q in f["together"] for p in q], "neither question"),
        ("finds_what_is_there", lambda f: f["together"][0].clear(), "finds nothing at all"),
    ],
)
def test_an_index_that_does_not_keep_it_is_told(index, demand, change, said):
    with pytest.raises(Fault, match=said):
        getattr(opening, demand)(opened("index", changed(index, change), ("search",)))


def test_what_cannot_be_opened_is_told_once():
    subject = opened("model", {"error": "no such file"})
    with pytest.raises(Fault, match="no such file"):
        opening.opens(subject)
    with pytest.raises(Skip, match="see opens"):
        opening.answers_each(subject)
