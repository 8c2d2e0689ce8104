"""Models of the Hugging Face hub, through its own library and cache.

The cache is looked at first; the network only where it lacks what is asked for. Its layout (``models--org--name`` with
``refs`` and ``snapshots``): https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kistack.errors import ModelError
from kistack_transformers.folders import CONFIG, WEIGHTS, Stored

_COMMIT = re.compile(r"[0-9a-f]{40}")
_INDEX = "model.safetensors.index.json"

#: What is fetched: no pickle, no code, no weights of other libraries in subfolders.
_SMALL = ("*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja", "README.md", "LICENSE*", "LICENCE*", "NOTICE*")
_SKIPPED = ("onnx/*", "openvino/*", "original/*", "*.h5", "*.msgpack")

_NAMES = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "F64": "fp32", "F8_E4M3": "fp8"}


def cached(name: str, revision: str = "") -> Path | None:
    """The folder of a whole model in the cache (configuration and all weights), else None."""
    snapshot = _snapshot(name, revision)
    return snapshot if snapshot is not None and _is_whole(snapshot) else None


def cached_names() -> list[str]:
    """Names of the models that the cache holds anything of."""
    folders = sorted(p.name for p in _cache().glob("models--*--*") if p.is_dir())
    return [name.removeprefix("models--").replace("--", "/", 1) for name in folders]


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _repository(name: str) -> Path:
    return _cache() / f"models--{name.replace('/', '--')}"


def _snapshot(name: str, revision: str) -> Path | None:
    root = _repository(name)
    commit = revision if _COMMIT.fullmatch(revision) else ""
    reference = root / "refs" / (revision or "main")
    if not commit and reference.is_file():
        commit = reference.read_text(encoding="utf-8").strip()
    snapshot = root / "snapshots" / commit
    return snapshot if commit and snapshot.is_dir() else None


def _is_whole(snapshot: Path) -> bool:
    if not (snapshot / CONFIG).is_file():
        return False
    index = snapshot / _INDEX
    if not index.is_file():
        return any(snapshot.glob(f"*{WEIGHTS}"))
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return all((snapshot / n).is_file() for n in names)


def commit(name: str, revision: str = "") -> str:
    """The commit that ``revision`` (or the newest) means: as the cache knows it, else as the hub says.

    Raises:
        ModelError: neither knows it.

    """
    if _COMMIT.fullmatch(revision):
        return revision
    found = cached(name, revision)
    return found.name if found is not None else str(_info(name, revision).sha)


def _info(name: str, revision: str) -> Any:
    from huggingface_hub import HfApi

    with _told(name):
        return HfApi().model_info(name, revision=revision or None, files_metadata=True)


def peek(name: str, revision: str = "") -> tuple[Path, Stored]:
    """Fetch a model's small files only: (their folder, what its weights are as the hub states it).

    Raises:
        ModelError: it cannot be reached, or has no safetensors.

    """
    from huggingface_hub import snapshot_download

    info = _info(name, revision)
    weights = [s for s in info.siblings if s.rfilename.endswith(WEIGHTS) and "/" not in s.rfilename]
    if not weights:
        raise ModelError(f"hub:{name}: no safetensors in it", "use a model that is published as safetensors")
    with _told(name), _quiet():
        folder = snapshot_download(name, revision=info.sha, allow_patterns=list(_SMALL), ignore_patterns=list(_SKIPPED))
    size = float(sum(s.size or 0 for s in weights))
    counts = dict(info.safetensors.parameters) if info.safetensors else {}
    precision = _NAMES.get(max(counts, key=counts.__getitem__), "") if counts else ""
    # without the hub's own count: 16 bits a weight, as nearly all models are published
    return Path(folder), Stored(float(sum(counts.values())) or size / 2, precision or "bf16", size)


def fetch(name: str, revision: str = "") -> Path:
    """Bring the whole model into the cache; what is there already is not fetched again.

    Raises:
        ModelError: it cannot be reached.

    """
    from huggingface_hub import snapshot_download

    patterns = [*_SMALL, f"*{WEIGHTS}"]
    with _told(name), _quiet():
        folder = snapshot_download(
            name, revision=revision or None, allow_patterns=patterns, ignore_patterns=list(_SKIPPED)
        )
    return Path(folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars of the library on the terminal."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    silent = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not silent:
            enable_progress_bars()


@contextmanager
def _told(name: str) -> Iterator[None]:
    """The library's errors as one line with one remedy."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as e:
        raise ModelError(
            f"hub:{name}: its authors ask for consent first", "accept its terms on the hub, then: hf auth login"
        ) from e
    except errors.RevisionNotFoundError as e:
        raise ModelError(f"hub:{name}: no such revision", "name a commit, tag or branch that exists") from e
    except errors.RepositoryNotFoundError as e:
        raise ModelError(f"hub:{name}: no such model on the hub", "check its name (private ones: hf auth login)") from e
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionError) as e:
        raise _unreachable(name) from e
    except (OSError, errors.HfHubHTTPError) as e:
        raise _unreachable(name, str(e)) from e
    except Exception as e:
        # the transport's own errors (httpx, of any version of it) share no base class with the library's
        if type(e).__module__.partition(".")[0].startswith(("httpx", "httpcore")):
            raise _unreachable(name) from e
        raise


def _unreachable(name: str, why: str = "") -> ModelError:
    detail = f" ({why.splitlines()[0]})" if why else ""
    return ModelError(
        f"hub:{name}: not in the local cache, and the hub cannot be reached{detail}",
        "fetch it where there is a network (kistack models fetch hub:…), or name a local folder",
    )
