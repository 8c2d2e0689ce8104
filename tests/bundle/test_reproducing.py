import json
import shutil
from dataclasses import replace

import pytest

from kistack.bundle.archive import RECORD_FILE, find_run
from kistack.bundle.reproducing import LOOSE, reproduce
from kistack.errors import InputError
from kistack.reporting.differences import reproduction_page
from kistack.reporting.terminal import as_text


@pytest.fixture
def ran(ran_place):
    return find_run(ran_place.project, "last").record


def rewrite(place, record):
    (place.project.runs / record.run / RECORD_FILE).write_text(json.dumps(record.to_json()))


def test_a_run_comes_out_again_in_every_answer_score_size_and_digest(ran_place, ran):
    found = reproduce(ran_place, ran.run)
    assert found.reproduced
    assert found.tolerance == 0
    assert found.run != ran.run
    assert all(c.equal for c in found.checks)
    assert {c.kind for c in found.checks} == {"answers", "score", "size", "digest"}
    assert {c.name for c in found.checks if c.kind == "answers"} == {"baseline", "few-shot", "plan"}
    assert {"plan, contained", "plan, perplexity"} & {c.name for c in found.checks}
    assert found.notes == ()
    again = json.loads((ran_place.project.runs / found.run / RECORD_FILE).read_text())
    assert {s["status"] for s in again["steps"]} == {"done"}
    assert "Reproduced" in as_text(reproduction_page(found))


@pytest.mark.parametrize("where", ["manifest", "bundle"])
def test_a_manifest_alone_is_enough(ran_place, ran, tmp_path, where):
    shutil.copytree(ran.bundle, tmp_path / "elsewhere")
    shutil.rmtree(ran_place.project.runs / ran.run)
    name = tmp_path / "elsewhere" / ("manifest.json" if where == "manifest" else "")
    found = reproduce(ran_place, str(name))
    assert found.reproduced
    assert {c.name for c in found.checks if c.kind == "digest"} == {"bundle, model", "bundle, index"}
    assert "answers are not kept here" in " ".join(found.notes)


def test_what_differs_is_named_and_judged_by_the_tolerance(ran_place, ran):
    plan = ran.systems["plan"]
    contained = replace(plan.metrics["contained"], value=plan.metrics["contained"].value - 0.01)
    other = replace(plan, metrics={**plan.metrics, "contained": contained})
    rewrite(ran_place, replace(ran, systems={**ran.systems, "plan": other}))
    found = reproduce(ran_place, ran.run)
    [differs] = [c for c in found.checks if not c.equal]
    assert (differs.kind, differs.name, differs.within) == ("score", "plan, contained", False)
    assert not found.reproduced
    assert "Not reproduced" in as_text(reproduction_page(found))
    loose = reproduce(ran_place, ran.run, tolerance=0.02)
    assert loose.reproduced
    assert not all(c.equal for c in loose.checks)
    assert "all within it" in as_text(reproduction_page(loose))


def test_other_versions_loosen_the_tolerance_and_are_told(ran_place, ran):
    rewrite(ran_place, replace(ran, environment={**ran.environment, "numpy": "0.1"}))
    found = reproduce(ran_place, ran.run)
    assert found.tolerance == LOOSE
    assert [c.name for c in found.versions] == ["numpy"]
    assert "0.1" in as_text(reproduction_page(found))


def test_changed_documents_are_said_and_found_out(ran_place, ran):
    documents = ran_place.project.root / "documents"
    for n in range(12):
        (documents / f"Product{n}.md").write_text(f"The latest release of Product{n} is 2.{n}\n")
    place = type(ran_place)(ran_place.scenario, host=ran_place.host)
    found = reproduce(place, ran.run)
    assert not found.reproduced
    assert "asked for otherwise" in found.notes[0]
    [answers] = [c for c in found.checks if (c.kind, c.name) == ("answers", "plan")]
    assert answers.after.startswith("4 differ")


def test_what_cannot_be_reproduced_is_one_line(ran_place, ran, tmp_path):
    rewrite(ran_place, replace(ran, status="failed"))
    with pytest.raises(InputError, match="nothing to reproduce"):
        reproduce(ran_place, ran.run)
    rewrite(ran_place, replace(ran, plan={"steps": 3}))
    with pytest.raises(InputError, match=r"plan of .* cannot be read"):
        reproduce(ran_place, ran.run)
    with pytest.raises(InputError, match="no run"):
        reproduce(ran_place, "nothing")
    with pytest.raises(InputError, match="tolerance"):
        reproduce(ran_place, ran.run, tolerance=3)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match=r"no manifest\.json"):
        reproduce(ran_place, str(tmp_path / "x.json"))
