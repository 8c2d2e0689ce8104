"""Which pages there are, and whether those that are committed say what the code says."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from kistack_docs.api import api_page
from kistack_docs.commands import commands_page
from kistack_docs.documents import documents_page, schemas
from kistack_docs.errors import errors_page, python_page
from kistack_docs.files import plan_page, policies_page, scenario_page
from kistack_docs.papers import papers_page
from kistack_docs.stages import hooks_page, stages_page

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
SCHEMAS = REFERENCE / "schemas"

_PAGES: dict[Path, Callable[[], str]] = {
    REFERENCE / "commands.md": commands_page,
    REFERENCE / "scenario.md": scenario_page,
    REFERENCE / "plan.md": plan_page,
    REFERENCE / "policies.md": policies_page,
    REFERENCE / "stages.md": stages_page,
    REFERENCE / "hooks.md": hooks_page,
    REFERENCE / "plugin-api.md": api_page,
    REFERENCE / "documents.md": documents_page,
    REFERENCE / "errors.md": errors_page,
    REFERENCE / "python.md": python_page,
    DOCS / "papers.md": papers_page,
}


@cache
def generated() -> dict[Path, str]:
    """The text of every generated file."""
    return {
        **{path: make() for path, make in _PAGES.items()},
        **{SCHEMAS / name: text for name, text in schemas().items()},
    }


def differing() -> list[Path]:
    """Generated files that are missing or say something else, and schemas that no longer belong."""
    texts = generated()
    stale = [p for p in SCHEMAS.glob("*.json") if p not in texts]
    changed = [p for p, text in texts.items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    return sorted(changed + stale)


def write() -> None:
    """Write what differs."""
    texts = generated()
    for path in differing():
        if path in texts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path], encoding="utf-8")
        else:
            path.unlink()
