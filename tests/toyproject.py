"""A project of toy documents and toy pairs about twelve products, for tests that share one as well as for one test."""

import json
import shutil

from kistack.bundle.archive import RECORD_FILE
from kistack.bundle.workspace import Workspace
from kistack.domain.records import RunRecord

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


def write_toy_project(root):
    """Write it into a folder that is not there yet; returns the folder."""
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


def copied(place, root, host):
    """A copy of a project with its runs, whose records and ledger name the copy."""
    before = str(place.project.root)
    shutil.copytree(before, root)
    own = Workspace.find(root, host=host)
    for path in own.project.work.glob("ledger*"):
        path.unlink()
    for path in sorted(own.project.runs.glob(f"*/{RECORD_FILE}")):
        text = path.read_text().replace(before, str(root))
        path.write_text(text)
        own.project.ledger().append(RunRecord.from_json(json.loads(text)))
    return own
