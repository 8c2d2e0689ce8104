"""Git history becomes dated states."""

import datetime as dt
import math
import os
import subprocess

import pytest

from kistack.domain.scenario import Scenario
from kistack.profiling import history
from kistack.profiling.corpus import load_corpus
from kistack.profiling.freshness import freshness
from kistack.profiling.history import head_of, states_in_git

START = dt.date(2024, 1, 1)


def day(n):
    return START + dt.timedelta(days=n)


def git(folder, *arguments, date=START):
    when = f"{date}T12:00:00+0000"
    environment = {n: v for n, v in os.environ.items() if not n.startswith("GIT_")}
    environment |= {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when, "GIT_CONFIG_GLOBAL": os.devnull}
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, env=environment)


@pytest.fixture
def repository(tmp_path):
    """Ten lines; on days 0, 100 and 200 one more of them is rewritten."""
    folder = tmp_path / "repo" / "docs"
    folder.mkdir(parents=True)
    git(tmp_path / "repo", "init", "-q")
    for n in range(3):
        lines = [f"line {i} version {n if i < n else 0}" for i in range(10)]
        (folder / "a.txt").write_text("\n".join(lines))
        (folder / ".hidden.txt").write_text(str(n))
        (folder / "b.png").write_bytes(b"\0")
        (tmp_path / "repo" / "unrelated.txt").write_text(str(n))
        git(tmp_path / "repo", "add", "-A")
        git(tmp_path / "repo", "commit", "-q", "-m", f"state {n}", date=day(100 * n))
    return folder


def test_states_lie_evenly_over_the_history(repository):
    states = states_in_git(repository, day(300))
    assert [(d - START).days for d, _ in states] == [0, 50, 100, 150, 200, 250]
    assert all([d.id for d in documents] == ["a.txt"] for _, documents in states)
    assert states[0][1] == states[1][1] != states[2][1]
    assert "line 1 version 2" in states[-1][1][0].text


def test_freshness_comes_from_git_when_nothing_better_is_given(repository):
    given = Scenario.model_validate(
        {"name": "x", "models": {"base": "hub:a/b"}, "knowledge": {"corpus": str(repository)}}
    )
    found = freshness(given, load_corpus(given), day(300))
    assert (found.source, found.origin) == ("git", "measured")
    # Three of ten lines changed over six intervals of fifty days: 3 events in about 3,000 piece-days.
    assert found.changed_per_day == pytest.approx(3 / 3000, rel=0.05)
    assert found.removed_per_day == 0
    assert "git history from 2024-01-01 to 2024-10-27" in found.why


def test_known_edits_are_measured_exactly(tmp_path):
    """Every fifty days one line in ten is rewritten, of twenty documents; one line goes, one document comes."""
    folder = tmp_path / "repo" / "docs"
    folder.mkdir(parents=True)
    git(tmp_path / "repo", "init", "-q")
    for step in range(6):
        for document in range(20):
            lines = [f"document {document} line {i} version {step if i == step else 0}" for i in range(10)]
            for earlier in range(1, step):
                lines[earlier] = f"document {document} line {earlier} version {earlier}"
            (folder / f"{document}.txt").write_text("\n".join(lines[: 9 if (step, document) == (3, 0) else 10]))
        if step == 4:
            (folder / "new.txt").write_text("a\nb\nc")
        git(tmp_path / "repo", "add", "-A")
        git(tmp_path / "repo", "commit", "-q", "-m", f"state {step}", date=day(50 * step))
    given = Scenario.model_validate({"name": "x", "models": {"base": "hub:a/b"}, "knowledge": {"corpus": str(folder)}})
    found = freshness(given, load_corpus(given), day(300))
    assert [((i.before - START).days, i.days, i.both, i.changed, i.removed, i.added) for i in found.intervals] == [
        (0, 50, 200, 20, 0, 0),
        (50, 50, 200, 20, 0, 0),
        (100, 50, 199, 20, 1, 0),
        (150, 50, 199, 20, 0, 4),
        (200, 50, 203, 20, 0, 0),
        (250, 50, 203, 0, 0, 0),
    ]
    assert [round(i.share, 4) for i in found.intervals] == [0.1, 0.1, 0.1005, 0.1005, 0.0985, 0]
    assert math.exp(-50 * found.changed_per_day) == pytest.approx(1 - 100 / 1204, rel=1e-9)
    assert math.exp(-50 * found.removed_per_day) == pytest.approx(1 - 1 / 1205, rel=1e-9)
    assert found.added_per_day == pytest.approx(4 / (1205 * 50))


def test_the_checked_out_commit_is_known(repository, tmp_path):
    head = head_of(repository)
    assert len(head) == 40
    assert head_of(repository / "a.txt") == head
    assert head_of(tmp_path) == ""


def test_no_history_is_no_error(repository, tmp_path, monkeypatch):
    assert states_in_git(tmp_path, day(300)) is None
    assert states_in_git(repository / "a.txt", day(300)) is None
    assert states_in_git(repository, day(5)) is None, "too short"
    untracked = repository.parent / "untracked"
    untracked.mkdir()
    assert states_in_git(untracked, day(300)) is None
    monkeypatch.setattr(history, "_LARGEST", 10)
    assert states_in_git(repository, day(300)) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert states_in_git(repository, day(300)) is None
