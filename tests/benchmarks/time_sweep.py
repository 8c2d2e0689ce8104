"""What a sweep saves: the sixteen combinations in one sweep against each of them run apart with its own baselines.

    python tests/benchmarks/time_sweep.py [FOLDER] [--settings each|same] [--budget-apart MINUTES]

On the tiny but real models of ``tests/tinydesk.py``. Every run apart has a project and a store of its own, so that it
answers the baselines itself. Both sides are wall clock on this machine, one after another; the machine's facts are
measured before either. A ratio is told where every combination was run apart.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tinydesk

from kistack.bundle.workspace import Workspace
from kistack.domain.plan import Plan
from kistack.sweeping.running import Running, run_sweep
from kistack.sweeping.selection import Request
from kistack.sweeping.summary import sharing


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--settings", default="same", choices=("each", "same"))
    parser.add_argument("--budget-apart", type=float, default=60.0, help="minutes")
    given = parser.parse_args()
    root = given.folder or Path(tempfile.mkdtemp(prefix="kistack-sweep-"))
    tinydesk.write_tiny_models(root / "models")
    place = Workspace.find(tinydesk.write_tiny_project(root / "together", root / "models"))
    place.profile()
    began = time.monotonic()
    sweep = run_sweep(place, Request(settings=given.settings), Running(notify=_say))
    together = time.monotonic() - began
    shared = sharing(sweep)
    _say(f"together: {together:.0f} s")
    apart: dict[str, float] = {}
    deadline = time.monotonic() + 60 * given.budget_apart
    for one in sweep.combinations:
        if "factorial" not in one.roles or time.monotonic() > deadline:
            continue
        own = tinydesk.write_tiny_project(root / "apart" / str(len(apart)), root / "models")
        # What the machine can do is the same for both sides, and measured once.
        shutil.copytree(place.project.work / "cache", own / ".kistack" / "cache")
        alone = Workspace.find(own)
        alone.profile()
        began = time.monotonic()
        alone.run(alone.compose(Plan.model_validate(one.plan)), over_limits=True)
        apart[one.name] = time.monotonic() - began
        _say(f"apart: {one.name} {apart[one.name]:.0f} s")
    rows = {n: r.spent for n, r in sweep.rows.items()}
    document = {
        "together_seconds": together,
        "apart_seconds": sum(apart.values()),
        "ratio": together / sum(apart.values()) if len(apart) >= len(rows) - 1 else None,
        "apart": apart,
        "rows": {n: {"status": r.status, "error": r.error, "spent": r.spent} for n, r in sweep.rows.items()},
        "sharing": shared,
    }
    print(json.dumps(document, indent=2))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
