"""Under which licence a model stands, where its text is, and until when it knows the world."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from kistack.errors import ModelError

#: Names that model cards use for licences which SPDX writes differently in upper and lower case.
_SPDX = {
    name.lower(): name
    for name in (
        "Apache-2.0",
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "CC-BY-4.0",
        "CC-BY-SA-4.0",
        "CC-BY-NC-4.0",
        "CC-BY-NC-SA-4.0",
        "GPL-3.0",
        "AGPL-3.0",
        "LGPL-3.0",
        "MPL-2.0",
        "OpenRAIL",
        "Unlicense",
    )
}

#: Licences whose text is the same for every work, so that it can be supplied where a model leaves it out.
_SHIPPED = frozenset({"Apache-2.0"})

_TEXT_NAMES = ("LICENSE", "LICENCE", "COPYING")
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)

_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_CUTOFF = re.compile(
    r"(?:knowledge[\s-]+cut-?\s?off|cutting[\s-]+knowledge|cut-?off[\s-]+dates?|data\b[^.\n]{0,30}cut-?off\b"
    r"|knowledge base was last updated)[^\n]{0,40}?"
    r"(?:(?P<month>" + "|".join(_MONTHS) + r")\s+(?P<year>20\d\d)|(?P<iso>20\d\d-[01]\d))",
    re.IGNORECASE,
)


def spdx(name: str) -> str:
    """The SPDX identifier of a licence as model cards write it; unknown names stay as they are."""
    return _SPDX.get(name.strip().lower(), name.strip())


def of_card(folder: Path) -> str:
    """The licence that the model card (front matter of README.md) states, or nothing."""
    import yaml

    card = folder / "README.md"
    if not card.is_file():
        return ""
    found = _FRONT_MATTER.match(card.read_text(encoding="utf-8", errors="replace"))
    try:
        stated = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        return ""
    if not isinstance(stated, dict):
        return ""
    name = stated.get("license")
    if name is None or name == "other":
        name = stated.get("license_name") or name
    if isinstance(name, list):
        return " OR ".join(spdx(str(n)) for n in name)
    return spdx(str(name)) if name else ""


def text_in(folder: Path) -> str:
    """The text of the first licence file in ``folder``, or nothing."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and path.name.upper().startswith(_TEXT_NAMES):
            return path.read_text(encoding="utf-8", errors="replace")
    return ""


def shipped(identifier: str) -> str:
    """The text of a licence that reads the same for every work, or nothing."""
    if identifier not in _SHIPPED:
        return ""
    return (resources.files("kistack_transformers") / "licences" / f"{identifier}.txt").read_text(encoding="utf-8")


def of_distribution(module: str) -> tuple[str, str]:
    """(identifier, text) of the installed distribution that brings the top-level ``module``.

    Raises:
        ModelError: nothing installed brings it.

    """
    from importlib import metadata

    try:
        found = metadata.distribution(module)
    except metadata.PackageNotFoundError:
        names = metadata.packages_distributions().get(module)
        if not names:
            raise ModelError(f"package {module}: not installed", f"pip install {module}") from None
        found = metadata.distribution(names[0])
    stated = next((found.metadata[n] for n in ("License-Expression", "License") if n in found.metadata), "")
    identifier = spdx(stated) if stated and "\n" not in stated else ""
    for file in found.files or ():
        if file.name.upper().startswith(_TEXT_NAMES) and ".dist-info" in file.parts[0]:
            return identifier, Path(str(found.locate_file(file))).read_text(encoding="utf-8", errors="replace")
    return identifier, ""


def cutoff(*texts: str) -> str:
    """The knowledge cutoff that any of ``texts`` (model card, chat template) states, as ``YYYY-MM``; else nothing."""
    for text in texts:
        found = _CUTOFF.search(text)
        if found is None:
            continue
        if found["iso"]:
            return found["iso"]
        return f"{found['year']}-{_MONTHS.index(found['month'].lower()) + 1:02d}"
    return ""
