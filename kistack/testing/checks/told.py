"""The README: when to use it, what it costs, what its limits are, where the method comes from."""

from __future__ import annotations

import re
from importlib import metadata

from kistack.testing.findings import Fault, Skip, check
from kistack.testing.subject import Subject

#: Sections by the words with which a heading (or a bold lead) may begin.
SECTIONS = {
    "when to use it": ("when",),
    "what it costs": ("cost",),
    "its limits": ("limits", "limitations"),
    "its sources": ("source", "sources", "references", "papers"),
}


@check("readme", "is explained in a README: when to use it, its cost, its limits, its sources, and every setting")
def readme(subject: Subject) -> None:
    """Headings or bold leads that begin with When, Cost, Limits and Source; the stage and its settings by name."""
    text = _text(subject)
    if not text.strip():
        raise Fault("there is no README", "write README.md beside pyproject.toml, with readme = 'README.md' in it")
    leads = [m.strip(" *#_").casefold() for m in re.findall(r"^#+ .*$|^\s*\|?\s*\*\*[^*]+\*\*", text, re.MULTILINE)]
    leads += [m.strip("*").casefold() for m in re.findall(r"\*\*[^*\n]+\*\*", text)]
    silent = {s: w for s, w in SECTIONS.items() if not any(lead.startswith(word) for lead in leads for word in w)}
    unnamed = [n for n in subject.stage.Settings.model_fields if f"`{n}`" not in text]
    faults, remedies = [], []
    if silent:
        faults.append(f"does not say {', '.join(silent)}")
        remedies.append("add " + ", ".join(f"a section '## {words[0].title()}'" for words in silent.values()))
    if subject.name not in text:
        faults.append(f"does not name {subject.name}")
        remedies.append("say what each stage does")
    if unnamed:
        names = ", ".join(map(repr, unnamed))
        faults.append(f"does not name the setting{'s' * (len(unnamed) > 1)} {names} of {subject.name}")
        remedies.append("add a row for " + ", ".join(f"`{n}`" for n in unnamed))
    if faults:
        raise Fault(f"the README {', and '.join(faults)}", "; ".join(remedies))


def _text(subject: Subject) -> str:
    if subject.plugin is not None and subject.plugin.name == "kistack":
        raise Skip("it belongs to the core, which docs/ describes")
    if subject.readme is not None and subject.readme.is_file():
        return subject.readme.read_text(encoding="utf-8")
    if subject.plugin is None or not subject.plugin.distribution:
        return ""
    described = metadata.metadata(subject.plugin.distribution)
    return str(described.get_payload() or described.get("Description") or "")  # type: ignore[attr-defined]
