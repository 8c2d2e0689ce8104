"""A project of toy documents, toy pairs and a toy model: everything real but the arithmetic."""

import json

import hypothesis
import pytest
import toys

from kistack.bundle.workspace import Workspace
from kistack.plugins.host import load_host

# How long an example takes says how busy the machine is, not whether the property holds.
hypothesis.settings.register_profile("steady", deadline=None)
hypothesis.settings.load_profile("steady")

PRODUCTS = [f"Product{n}" for n in range(12)]

SCENARIO = """\
schema: 1
name: toy-desk
task: {kind: facts, metric: contained}
knowledge:
  corpus: {path: documents, licence: MIT}
  pairs: pairs.jsonl
  changes: 1%/day
models: {base: "toy:base"}
limits: {memory: 4GB}
"""


@pytest.fixture
def toy_project(tmp_path):
    root = tmp_path / "project"
    documents = root / "documents"
    documents.mkdir(parents=True)
    (documents / "LICENSE").write_text("MIT, and so on")
    rows = []
    for n, product in enumerate(PRODUCTS):
        (documents / f"{product}.md").write_text(f"The latest release of {product} is 1.{n}\n")
        rows.append(
            {
                "id": str(n),
                "question": f"What is the latest release of {product}",
                "answer": f"1.{n}",
                "gold": [f"{product}.md"],
                "group": product,
                "split": "test" if n % 3 == 0 else "train",
            }
        )
    (root / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (root / "kistack.yaml").write_text(SCENARIO)
    return root


@pytest.fixture
def toy_host():
    return load_host(entry_points=False, extra={"toys": toys})


@pytest.fixture
def toy_place(toy_project, toy_host):
    return Workspace.find(toy_project, host=toy_host)
