"""New plugin packages from templates: files under ``kistack/data/plugin_templates``, their names and words filled in.

A template is a file that ends in ``.tmpl``. ``package`` in its path becomes the module's folder, ``dot-`` a leading
dot; ``@name@`` and the like in its text become what the plugin is called.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from kistack.errors import InputError
from kistack.plugins import API_VERSION

TEMPLATES = Path(__file__).resolve().parents[1] / "data" / "plugin_templates"

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
_PLACEHOLDER = re.compile(r"@([a-zA-Z]+)@")
_README = "README.md"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of plugin that can be made: the prefix of its stages, its hook, and what its template does."""

    prefix: str
    hook: str
    summary: str
    folders: tuple[str, ...]


KINDS: dict[str, Kind] = {
    "retriever": Kind("retrieve", "kistack_register_retrievers", "documents ranked by shared words", ()),
    "distiller": Kind("distill", "kistack_register_distillers", "a small student of a teacher's answers", ("bigrams",)),
    "tuner": Kind("tune", "kistack_register_tuners", "a small model adapted to pairs", ("bigrams",)),
    "quantizer": Kind("quantize", "kistack_register_quantizers", "a small model in fewer bits", ("bigrams",)),
    "runtime": Kind("runtime", "kistack_register_runtimes", "answers of a small model", ("bigrams",)),
    "evaluator": Kind("evaluate", "kistack_register_evaluators", "words of the accepted answer that were said", ()),
    "profiler": Kind("profile", "kistack_register_profilers", "how fast the disk takes what is written", ()),
    "source": Kind("source", "kistack_register_sources", "small models counted from text files", ("bigrams",)),
}


def create_plugin(name: str, kind: str, folder: Path, taken: Collection[str] = ()) -> list[Path]:
    """Write a complete package ``folder/kistack-NAME`` with one working stage ``PREFIX/NAME``; returns its files.

    Args:
        name: lower-case words joined by hyphens.
        kind: one of ``KINDS``.
        folder: where the package's own folder is made.
        taken: names of stages that there are already.

    Raises:
        InputError: the name or the kind will not do, the stage's name is taken, or the folder is there already.

    """
    if kind not in KINDS:
        raise InputError(f"there is no kind of plugin {kind!r}", f"kinds: {', '.join(KINDS)}")
    name = name.removeprefix("kistack-")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise InputError(
            f"{name!r} cannot be the name of a plugin",
            f"use lower-case letters, digits and single hyphens, at most {_LONGEST}, a letter first: my-finder",
        )
    about = KINDS[kind]
    stage = f"{about.prefix}/{name}"
    if stage in taken:
        raise InputError(
            f"a stage {stage} is installed already", "choose another name: a name claimed twice is unusable"
        )
    root = folder / f"kistack-{name}"
    if root.exists():
        raise InputError(f"{root} exists already", "choose another name, or remove it")
    words = _words(name, about, stage)
    files: dict[Path, str] = {}
    for part in ("common", *about.folders, kind):
        files |= _rendered(TEMPLATES / part, root, words)
    # The README of the kind is the middle of the common one.
    middle = files[root / _README]
    files[root / _README] = _fill(
        (TEMPLATES / "common" / f"{_README}.tmpl").read_text("utf-8"), words | {"readme": middle}
    )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return sorted(files)


def _words(name: str, about: Kind, stage: str) -> dict[str, str]:
    parts = name.split("-")
    return {
        "name": name,
        "distribution": f"kistack-{name}",
        "module": f"kistack_{'_'.join(parts)}",
        "metric": "_".join(parts),
        "Class": "".join(p.title() for p in parts),
        "stage": stage,
        "hook": about.hook,
        "summary": about.summary,
        "api": API_VERSION,
    }


def _rendered(templates: Path, root: Path, words: dict[str, str]) -> dict[Path, str]:
    found = {}
    for template in sorted(templates.rglob("*.tmpl")):
        place = template.relative_to(templates).with_suffix("")
        parts = [p.replace("dot-", ".", 1) if p.startswith("dot-") else p for p in place.parts]
        if parts[0] == "package":
            parts[:1] = ["src", words["module"]]
        found[root.joinpath(*parts)] = _fill(template.read_text(encoding="utf-8"), words)
    return found


def _fill(text: str, words: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: words.get(found[1], found[0]), text)
