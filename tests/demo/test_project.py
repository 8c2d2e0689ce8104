import csv
import datetime as dt
import json
from importlib.resources import files
from itertools import pairwise

import pytest

from kistack.demo.pairs import pairs_as_of
from kistack.demo.project import project_files, write_project
from kistack.demo.releases import DATES, LATEST, facts_as_of, freshness_truth
from kistack.domain.scenario import load_scenario
from kistack.errors import DataError
from kistack.profiling.corpus import load_corpus, read_corpus
from kistack.profiling.freshness import freshness, freshness_facts
from kistack.profiling.pairs import read_pairs


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "release-desk"
    write_project(folder)
    return folder


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_scenario_reads_without_problems(project):
    scenario = load_scenario(project)
    assert scenario.name == "release-desk"
    assert scenario.knowledge.split.by == "declared"
    assert [s.as_of.isoformat() for s in scenario.knowledge.snapshots] == list(DATES[:-1])
    assert scenario.knowledge.as_of.isoformat() == LATEST


def test_kistack_reads_every_document_under_its_own_id(project):
    corpus = load_corpus(load_scenario(project))
    assert [d.id for d in corpus.documents] == sorted(f.id for f in facts_as_of())
    assert corpus.skipped == ()
    assert corpus.duplicates == 0
    assert corpus.licences[0][1] == "MIT"
    assert [p.name for p in corpus.licence_texts] == ["LICENSE"]


def test_kistack_reads_every_pair_and_finds_its_document(project):
    pairs = read_pairs([project / "pairs.jsonl"])
    assert [(p.id, p.split) for p in pairs] == [(p.id, p.split) for p in pairs_as_of()]
    known = {d.id for d in load_corpus(load_scenario(project)).documents}
    assert {g for p in pairs for g in p.gold} <= known


def test_snapshots_hold_what_was_known_then(project):
    scenario = load_scenario(project)
    states = {}
    for snapshot in scenario.knowledge.snapshots:
        part = scenario.knowledge.corpus[0].model_copy(update={"path": snapshot.path})
        states[snapshot.as_of.isoformat()] = {d.id: d.text for d in read_corpus([part]).documents}
    states[LATEST] = {d.id: d.text for d in load_corpus(scenario).documents}
    for first, second in pairwise(DATES):
        before, after = states[first], states[second]
        both = before.keys() & after.keys()
        truth = freshness_truth(first, second)
        assert (len(both), sum(before[i] != after[i] for i in both)) == (truth.both, truth.changed)


def test_the_same_call_gives_the_same_bytes_and_changes_nothing(project, tmp_path):
    write_project(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(project)
    stamps = {p: p.stat().st_mtime_ns for p in project.rglob("*") if p.is_file()}
    write_project(project)
    assert {p: p.stat().st_mtime_ns for p in project.rglob("*") if p.is_file()} == stamps


def test_names_and_texts_are_those_of_project_files(project):
    assert {name: text.encode() for name, text in project_files()} == contents(project)


def test_an_older_project_has_no_later_snapshots(tmp_path):
    scenario = load_scenario(write_project(tmp_path, date="2025-01-01", train=20, test=10))
    assert scenario.knowledge.as_of.isoformat() == "2024-07-01"
    assert [s.as_of.isoformat() for s in scenario.knowledge.snapshots] == ["2022-07-01", "2023-07-01"]
    lines = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["split"] for line in lines] == ["train"] * 20 + ["test"] * 10


def test_the_profiler_measures_what_the_table_says(project):
    scenario = load_scenario(project)
    found = freshness(scenario, load_corpus(scenario), dt.date.fromisoformat(LATEST))
    assert found.source == "snapshots"
    days = [dt.date.fromisoformat(day) for day in DATES]
    exposed = changed = 0.0
    for (first, second), (start, end) in zip(pairwise(DATES), pairwise(days), strict=True):
        truth = freshness_truth(first, second)
        exposed += truth.both * (end - start).days
        changed += truth.changed
    # Changes per exposed day understate the hazard a little, for a changed fact is no longer exposed.
    assert changed / exposed < found.changed_per_day < 1.15 * changed / exposed
    assert found.low < found.changed_per_day < found.high


def test_the_share_changed_between_two_dates_is_that_of_the_table(project):
    scenario = load_scenario(project)
    found = freshness(scenario, load_corpus(scenario), dt.date.fromisoformat(LATEST))
    text = files("kistack.demo").joinpath("releases.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [(i.before.isoformat(), i.after.isoformat()) for i in found.intervals] == list(pairwise(DATES))
    for interval, (first, second) in zip(found.intervals, pairwise(DATES), strict=True):
        both = [r for r in rows if r[first] and r[second]]
        counted = sum(r[first] != r[second] for r in both) / len(both)
        assert 0.12 < counted < 0.25
        assert interval.share == pytest.approx(counted, abs=0.02)
        assert interval.added == pytest.approx(
            sum(not r[first] and bool(r[second]) for r in rows), abs=0.02 * len(both)
        )
        assert interval.removed == pytest.approx(sum(bool(r[first]) and not r[second] for r in rows), abs=5)
        assert f"{first} to {second}: {interval.share:.1%}" in freshness_facts(found)["freshness.intervals"].value


def test_a_project_without_snapshots(tmp_path):
    scenario = load_scenario(write_project(tmp_path, snapshots=False, train=5, test=5))
    assert scenario.knowledge.snapshots == ()
    assert not (tmp_path / "snapshots").exists()


def test_a_changed_file_is_never_overwritten(tmp_path):
    file = write_project(tmp_path, snapshots=False, train=5, test=5)
    mine = file.read_text(encoding="utf-8").replace("90d", "30d")
    file.write_text(mine, encoding="utf-8")
    with pytest.raises(DataError, match=r"kistack\.yaml"):
        write_project(tmp_path, snapshots=False, train=5, test=5)
    assert file.read_text(encoding="utf-8") == mine


def test_many_differing_files_are_counted(tmp_path):
    write_project(tmp_path, snapshots=False)
    with pytest.raises(DataError, match=r"and \d+ more"):
        write_project(tmp_path, snapshots=False, date=DATES[0])


def test_replacing_moves_the_project_to_another_date_and_spares_other_files(tmp_path):
    write_project(tmp_path)
    (tmp_path / "documents" / "mine.txt").write_text("kept", encoding="utf-8")
    write_project(tmp_path, date=DATES[0], replace=True)
    expected = {name: text.encode() for name, text in project_files(DATES[0])}
    assert contents(tmp_path) == {**expected, "documents/mine.txt": b"kept"}


def test_a_binary_file_in_the_way_is_named(tmp_path):
    (tmp_path / "pairs.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"pairs\.jsonl"):
        write_project(tmp_path)
