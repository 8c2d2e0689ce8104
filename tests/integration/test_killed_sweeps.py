"""Sweeps that are killed: nothing finished is lost or done twice, and every one ends with the same table."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter

import pytest
from driving import events, finish, start, wait_until

from kistack.execution.events import StepDone

pytestmark = pytest.mark.system

COMMAND = ("-q", "sweep", "--settings", "same", "--json")
KILLS = 20


def run_to_end(root, environment):
    code, said, told = finish(start(*COMMAND, cwd=root, env=environment), seconds=600)
    assert code == 0, told
    return json.loads(said)


def table(document):
    """All that does not depend on the clock."""
    rows = [
        {
            **{n: row[n] for n in ("name", "roles", "plan", "status", "error", "unavailable")},
            "metrics": {n: m for n, m in row["metrics"].items() if n in {"contained", "perplexity", "bytes"}},
            "quality": row["measured"].get("quality"),
        }
        for row in document["rows"]
    ]
    exact = {"quality", "bytes"}
    effects = [e for e in document["attribution"]["effects"] if e["number"] in exact]
    regret = {n: document["regret"][n] for n in ("advised", "points", "ci95", "same_items", "infeasible")}
    return {"rows": rows, "effects": effects, "regret": regret, "baselines": document["baselines"]}


def kill_after(root, environment, seconds, *, at_work=True):
    """Kill a sweep and its workers so long after it began (its first step); True where it had ended before."""
    began = time.time()
    process = start(*COMMAND, cwd=root, env=environment)
    while at_work and process.poll() is None and not _told_since(root, began):
        time.sleep(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)
        assert process.returncode == 0, process.communicate()
        return True
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return False


def _told_since(root, moment):
    return any(p.stat().st_mtime > moment for p in root.glob(".kistack/runs/*/events.jsonl"))


def rows_kept(root):
    return {p.name: p.read_bytes() for p in root.glob(".kistack/sweeps/*/rows/*.json")}


def made(root):
    """How often each step was finished, over all runs."""
    return Counter(e.key for found in events(root).values() for e in found if isinstance(e, StepDone))


def new_project(root, toy_project):
    shutil.copytree(toy_project, root, ignore=shutil.ignore_patterns(".kistack"))
    return root


@pytest.fixture
def undisturbed(toy_project, toy_environment):
    began = time.monotonic()
    document = run_to_end(toy_project, toy_environment)
    assert [r["status"] for r in document["rows"]] == ["done"] * 16
    assert document["sharing"]["repeated"] == []
    assert set(made(toy_project).values()) == {1}
    return table(document), time.monotonic() - began


def check(root, environment, expected, before):
    document = run_to_end(root, environment)
    assert table(document) == expected
    assert document["status"] == "done"
    after = rows_kept(root)
    assert {name: after[name] for name in before} == before
    assert len(list(root.glob(".kistack/sweeps/*/sweep.json"))) == 1
    assert max(made(root).values()) == 1
    assert run_to_end(root, environment)["rows"] == document["rows"]


def test_a_sweep_killed_twenty_times_ends_with_the_same_table(undisturbed, toy_project, toy_environment, tmp_path):
    expected, seconds = undisturbed
    root = new_project(tmp_path / "killed", toy_project)
    chance = random.Random(5)
    for number in range(KILLS):
        before = rows_kept(root)
        # Every fourth is killed while it starts.
        ended = kill_after(root, toy_environment, chance.uniform(0, 2 * seconds / KILLS), at_work=number % 4 != 0)
        after = rows_kept(root)
        assert {name: after[name] for name in before} == before
        if ended:
            break
    check(root, toy_environment, expected, rows_kept(root))


@pytest.mark.system
def test_twenty_sweeps_killed_once_each_end_with_the_same_table(undisturbed, toy_project, toy_environment, tmp_path):
    expected, seconds = undisturbed
    for seed in range(KILLS):
        root = new_project(tmp_path / f"seed-{seed}", toy_project)
        kill_after(root, toy_environment, random.Random(seed).uniform(0, seconds))
        check(root, toy_environment, expected, rows_kept(root))


def test_a_detached_sweep_runs_on_and_is_seen(toy_project, toy_environment):
    few = ("sweep", "--plans", "nothing,retrieve", "--json")
    code, said, told = finish(start(*few, "--detach", cwd=toy_project, env=toy_environment))
    assert code == 0, told
    found = json.loads(said)
    assert f"--show {found['sweep']}" in told
    result = toy_project / ".kistack" / "sweeps" / found["sweep"] / "result.json"
    wait_until(result.exists, seconds=120)
    show = ("-q", "sweep", "--show", found["sweep"], "--json")
    code, said, told = finish(start(*show, cwd=toy_project, env=toy_environment))
    assert code == 0, told
    assert [r["status"] for r in json.loads(said)["rows"]] == ["done", "done"]
