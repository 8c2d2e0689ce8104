import json

import pytest

from kistack.domain.artifacts import Artifact
from kistack.evaluation.scoring import read_scores
from kistack.testing import LocalContext, run_stage

from .judging import Endpoint


def row(number, **more):
    base = {
        "id": f"q{number}",
        "question": f"What is the latest release of PHP 8.{number}?",
        "answers": [f"8.{number}.29"],
        "gold": [f"php/8.{number}"],
        "text": f"The latest release of PHP 8.{number} is 8.{number}.29.",
        "passages": [],
        "prompt_tokens": 40,
        "new_tokens": 8,
        "seconds": 0.4,
    }
    return {**base, **more}


@pytest.fixture
def answered(tmp_path):
    """Write answers (and timings) as the artifact that evaluators read."""

    def write(rows, speed=None):
        folder = tmp_path / "answers"
        folder.mkdir(exist_ok=True)
        (folder / "answers.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        if speed is not None:
            (folder / "speed.json").write_text(json.dumps(speed))
        return Artifact("answers", "jsonl", folder, "digest", "key", facts={"count": len(rows)})

    return write


@pytest.fixture
def evaluate(tmp_path):
    """Run an evaluator over artifacts; its scores, with the context in ``evaluate.context``."""

    def run(stage, given, settings=None, sessions=None):
        context = LocalContext(tmp_path / "work", given, sessions or {})
        run.context = context
        made = run_stage(stage, context, settings)
        scores = read_scores(made["scores"].path)
        declared = stage.traits(stage.Settings() if settings is None else settings).metrics
        assert {*scores.totals, *scores.unavailable, *scores.items} <= set(declared), "its traits must name them"
        return scores

    return run


@pytest.fixture
def endpoint(monkeypatch):
    """Start a chat endpoint of this machine; see ``judging.Endpoint``."""
    started = []
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")

    def start(reply):
        started.append(Endpoint(reply))
        return started[-1]

    yield start
    for one in started:
        one.close()
