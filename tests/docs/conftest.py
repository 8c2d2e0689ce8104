"""The generator of the reference lies beside what it writes."""

import sys
from pathlib import Path

TOOLS = str(Path(__file__).resolve().parents[2] / "docs" / "tools")
if TOOLS not in sys.path:
    sys.path.append(TOOLS)
