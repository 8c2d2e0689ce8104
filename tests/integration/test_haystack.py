"""A retriever of another ecosystem on a whole run: workers, pairs with its passages, a bundle asked elsewhere."""

import shutil

import pytest
import toys
from kistack_haystack import hooks

from kistack.bundle.opening import open_bundle
from kistack.bundle.workspace import Workspace
from kistack.domain.plan import Plan, Step
from kistack.plugins.host import load_host

pytestmark = pytest.mark.system


@pytest.fixture
def place(toy_project):
    return Workspace.find(toy_project, host=load_host(entry_points=False, extra={"toys": toys, "haystack": hooks}))


def test_a_plan_that_retrieves_by_words_needs_no_embedder(place, tmp_path):
    plan = Plan(steps=(Step(use="retrieve/haystack"), Step(use="tune/toy")))
    record = place.run(place.compose(plan))
    found = record.systems["plan"].metrics["contained"]
    assert (record.status, found.value) == ("done", 1)
    assert record.systems["baseline"].metrics["contained"].value == 0
    [retrieving] = [s for s in record.steps if s.use == "retrieve/haystack"]
    assert retrieving.settings["method"] == "bm25"
    assert retrieving.measured["peak_bytes"] < 2 * retrieving.predicted["peak_bytes"]
    again = place.run(place.compose(plan))
    assert [s.status for s in again.steps if s.use == "retrieve/haystack"] == ["reused"]
    shutil.copytree(record.bundle, tmp_path / "elsewhere")
    shutil.rmtree(place.project.root)
    with open_bundle(tmp_path / "elsewhere", host=place.host) as bundle:
        answer = bundle.ask("What is the latest release of Product7")
    assert (answer.text, answer.passages[0].document) == ("1.7", "Product7.md")
