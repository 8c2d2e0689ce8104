"""A fresh process that imports a plugin and asks its stage; see ``lightness``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kistack.execution.preparation import import_path

#: Longest that importing and asking may take.
LONGEST_SECONDS = 60.0
_HOME = Path(__file__).resolve().parents[2]
_LIGHT = (
    "import sys; sys.path.append(sys.argv[1]); from kistack.testing.lightness import main; sys.exit(main(sys.argv[2:]))"
)


def probe_lightness(root: Path, modules: list[str], request: Mapping[str, Any]) -> dict[str, Any]:
    """Import modules and exercise a stage in a fresh process; ``error``: why that failed, ``stdout``: what it said."""
    folder = root / "light"
    folder.mkdir(parents=True, exist_ok=True)
    asked, answer = folder / "request.json", folder / "answer.json"
    asked.write_text(json.dumps({**request, "modules": modules, "path": import_path()}), encoding="utf-8")
    answer.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _LIGHT, str(_HOME), str(asked), str(answer)],
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_SECONDS,
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": "1"},
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it had not ended after {LONGEST_SECONDS:.0f} seconds", "stdout": ""}
    if not answer.exists():
        return {
            "error": (done.stderr.strip().splitlines() or ["it ended without an answer"])[-1],
            "stdout": done.stdout,
        }
    return {**json.loads(answer.read_text(encoding="utf-8")), "stdout": done.stdout}
