import json

import pytest

from kistack.bundle.archive import PROFILE_FILE, find_run, kept_record, kept_run
from kistack.domain.planfile import load_plan
from kistack.errors import InputError

PLAN = "schema: 1\nsteps:\n- {use: retrieve/toy}\n- {use: tune/toy}\n- {use: quantize/toy}\n"


@pytest.fixture
def place(ran_place):
    (ran_place.project.root / "plan.yaml").write_text(PLAN)
    return ran_place


@pytest.fixture
def ran(place):
    return find_run(place.project, "last").record


def test_a_run_keeps_its_facts_answers_events_and_manifest(place, ran):
    kept = find_run(place.project, "last")
    assert kept.record == ran
    assert kept.profile.digest == ran.profile
    assert kept.manifest.run == ran.run
    assert [r["text"] for r in kept.answers("plan")] == ["1.0", "1.3", "1.6", "1.9"]
    assert kept.answers("nobody") is None
    assert kept.record_path.is_file()
    assert kept.manifest_path.is_file()
    losses = [e.numbers["loss"] for e in kept.progress_of(next(s.key for s in ran.steps if s.use == "tune/toy"))]
    assert losses[0] == 1
    assert losses[-1] == pytest.approx(0.1)


def test_a_reused_step_is_followed_in_the_run_that_made_it(place, ran):
    again = place.run(place.compose(load_plan(place.project.root / "plan.yaml")))
    step = next(s for s in again.steps if s.use == "tune/toy")
    assert step.status == "reused"
    assert len(find_run(place.project, again.run).progress_of(step.key)) > 1
    assert find_run(place.project, again.run).progress_of("no such key") == []


def test_a_record_finds_its_folder_by_its_bundle(place, ran):
    assert kept_record(ran).answers("plan")
    loose = kept_record(type(ran)("r", "failed", {}, "", {}))
    assert (loose.folder, loose.events, loose.profile, loose.manifest, loose.answers("plan")) == (
        None, [], None, None, None,
    )  # fmt: skip


def test_what_is_gone_or_damaged_is_none_and_a_missing_record_is_an_error(place, ran):
    folder = place.project.run_folder(ran.run)
    (folder / PROFILE_FILE).write_text(json.dumps({"facts": 3}))
    for path in folder.glob("bundle/manifest.json"):
        path.unlink()
    kept = kept_run(folder)
    assert kept.profile is None
    assert kept.manifest is None
    assert kept.manifest_path is None
    (folder / "record.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        kept_run(folder)
    (folder / "record.json").unlink()
    with pytest.raises(InputError, match="no record yet"):
        kept_run(folder)
