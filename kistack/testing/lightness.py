"""The methods of a stage that run in the user's process: called, timed, and their answers as JSON.

As a program (``python -c … REQUEST ANSWER``) it does so in a fresh process that has imported nothing of the plugin yet.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Opener, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.execution.job import load_stage
from kistack.plugins import patience
from kistack.plugins.stages import Load, Stage

#: Modules that take long to import or much memory: nothing that the user's process loads may need them.
HEAVY = frozenset(
    {
        "accelerate", "cyllama", "datasets", "gguf", "haystack", "jax", "lancedb", "llama_cpp", "llama_index",
        "matplotlib", "nltk", "numba", "onnxruntime", "openvino", "optimum", "pandas", "peft", "pyarrow", "scipy",
        "sentence_transformers", "sklearn", "spacy", "tensorflow", "torch", "transformers", "vllm", "xllamacpp",
    }
)  # fmt: skip
#: Each method is called so often; the quickest call counts, since other work on the machine only adds to it.
_CALLS = 5


def served(load: Load) -> Estimate:  # noqa: ARG001 - the contract of Type.serves
    """What the stand-in that opens a specimen says of answering."""
    costs = {"latency_seconds": 0.02, "tokens_per_second": 100.0, "peak_bytes": 1e8, "query_seconds": 0.001}
    return Estimate(costs, {"passages": {"tokens": 20.0}})


def type_to_json(found: Type) -> dict[str, Any]:
    """A type as a JSON document; that something opens it is kept as ``opened``."""
    document = {f.name: getattr(found, f.name) for f in dataclasses.fields(found) if f.name not in {"serves", "opener"}}
    opener = None if found.opener is None else dataclasses.asdict(found.opener)
    return {**document, "opener": opener, "opened": found.serves is not None}


def type_from_json(document: Mapping[str, Any]) -> Type:
    """The type that ``type_to_json`` wrote."""
    values = dict(document)
    opened, opener = values.pop("opened"), values.pop("opener")
    values |= {"needs": tuple(values["needs"]), "line": tuple(values["line"])}
    return Type(**values, opener=Opener(**opener) if opener else None, serves=served if opened else None)


def exercise(stage: Stage, settings: Any, profile: Profile, types: Mapping[str, Type]) -> dict[str, Any]:
    """Call the pure methods; per method its answer (``answer``), the quickest call (``seconds``) or its ``error``."""
    made = Type("model" if _opens_model(stage, settings) else "index", "", {}, {"bytes": 1e6, "params": 1e5}, "made")
    artifact = next((t for t in types.values() if t.kind == made.kind), made)
    calls: dict[str, Callable[[], Any]] = {
        "traits": lambda: stage.traits(settings),
        "suggest": lambda: [s.model_dump(mode="json") for s in stage.suggest(profile, types)],
        "resolve": lambda: stage.resolve(settings, profile, types).model_dump(mode="json"),
        "estimate": lambda: stage.estimate(stage.resolve(settings, profile, types), profile, types),
        "serving": lambda: stage.serving(settings, profile, artifact, Load()),
    }
    return {name: _timed(call) for name, call in calls.items()}


def _opens_model(stage: Stage, settings: Any) -> bool:
    try:
        return any(o.kind == "model" for o in stage.traits(settings).opens)
    except Exception:  # noqa: BLE001 - told by the call itself
        return False


def _timed(call: Callable[[], Any]) -> dict[str, Any]:
    best, answer = float("inf"), None
    for _ in range(_CALLS):
        start = time.perf_counter()
        try:
            with patience.within(patience.CALL_SECONDS):
                answer = call()
        except patience.TooLong:
            return {"error": patience.unanswered()}
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        best = min(best, time.perf_counter() - start)
    return {"answer": as_json(answer), "seconds": best}


def as_json(value: Any) -> str:
    """Any answer of a method as canonical text, so that answers of two processes can be compared."""
    return json.dumps(value, default=_plain, sort_keys=True)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return list(value) if hasattr(value, "__iter__") else repr(value)


def main(arguments: list[str]) -> int:
    """Answer a request file: import the plugin's hooks and exercise the stage."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    sys.path.extend(p for p in request["path"] if p not in sys.path)
    import kistack.plugins.host  # noqa: F401 - what every command has loaded does not count

    before = set(sys.modules)
    start = time.perf_counter()
    for module in request["modules"]:
        importlib.import_module(module)
    answer: dict[str, Any] = {"import_seconds": time.perf_counter() - start, "import_heavy": _heavy(before)}
    if request["stage"]:
        stage = load_stage(request["stage"])
        settings = stage.Settings.model_validate(request["settings"])
        types = {port: type_from_json(document) for port, document in request["types"].items()}
        answer["calls"] = exercise(stage, settings, Profile.from_json(request["profile"]), types)
        answer["heavy"] = _heavy(before)
    sys.stdout.flush()
    Path(arguments[1]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


def _heavy(before: set[str]) -> list[str]:
    return sorted({m.partition(".")[0] for m in set(sys.modules) - before} & HEAVY)


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
