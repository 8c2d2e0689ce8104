"""Models that lie on this machine already: in installed packages and in the hub's cache. No network is asked."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from kistack_transformers import hub
from kistack_transformers.folders import WEIGHTS
from kistack_transformers.references import GGUF, HUB, PACKAGE, models_below

Found = tuple[str, int]


def in_packages() -> Iterator[Found]:
    """References and bytes of the models that installed packages carry; the packages are not imported.

    A package is looked into where the list of its files names weights, so one without such a list is not found.
    """
    modules = set()
    for distribution in metadata.distributions():
        for line in (distribution.read_text("RECORD") or "").splitlines():
            path = line.partition(",")[0].strip('"')
            if path.lower().endswith((GGUF, WEIGHTS)) and path.partition("/")[0].isidentifier():
                modules.add(path.partition("/")[0])
    for module in sorted(modules):
        spec = importlib.util.find_spec(module)
        for root in list(spec.submodule_search_locations or ())[:1] if spec else ():
            found = models_below(Path(root))
            for model in found:
                inner = f"/{model.relative_to(root).as_posix()}" if len(found) > 1 else ""
                yield f"{PACKAGE}{module}{inner}", _bytes(model)


def in_hub_cache() -> Iterator[Found]:
    """References and bytes of the whole models in the cache of the Hugging Face hub."""
    for name in hub.cached_names():
        snapshot = hub.cached(name)
        if snapshot is not None:
            yield f"{HUB}{name}", _bytes(snapshot)


def _bytes(path: Path) -> int:
    """Of a file, or of the weights in a folder."""
    files = [path] if path.is_file() else [p for p in path.iterdir() if p.name.endswith((WEIGHTS, GGUF))]
    return sum(p.stat().st_size for p in files)
