"""Shapes of well-known models, shipped as ``kistack/data/models.yaml``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

import yaml

from kistack.domain.artifacts import Type
from kistack.domain.yamlfile import plain_yaml
from kistack.errors import InputError, KistackError

#: What names carry beside the model: who publishes it, how it was tuned, its format.
_PREFIX = re.compile(r"^(?:[\w.-]+/|meta-|hf-)+")
_SUFFIX = re.compile(r"[-_. ](?:instruct|chat|it|hf|base|gguf|gptq|awq|int4|int8|v0\.\d|v\d(?:\.\d)?|\d{4})$")
_FACTS = (
    "params",
    "layers",
    "encoder_layers",
    "hidden",
    "heads",
    "kv_heads",
    "head_dim",
    "ffn",
    "gated",
    "vocab",
    "tied",
    "headless",
    "context",
)


def model_shape(name: str) -> Type:
    """The shape of a model by its usual name; publisher and variant (``-Instruct``) may be left in or out.

    Raises:
        InputError: no such model; the hint names close ones.

    """
    table = model_shapes()
    wanted = _plain(name)
    while wanted not in table:
        shorter = _SUFFIX.sub("", wanted)
        if shorter == wanted:
            close = difflib.get_close_matches(wanted, table, n=3, cutoff=0.5) or sorted(table)
            raise InputError(f"no shape of the model {name!r} is known", f"known: {', '.join(close)}")
        wanted = shorter
    return table[wanted]


@cache
def model_shapes() -> Mapping[str, Type]:
    """All shapes by their plain names (small letters, aliases too), read once; ``identity`` is the usual name.

    Raises:
        KistackError: the installation is damaged.
    """
    text = (resources.files("kistack.data") / "models.yaml").read_text(encoding="utf-8")
    found: dict[str, Type] = {}
    try:
        for name, row in plain_yaml(text)["models"].items():
            facts = {fact: float(row[fact]) for fact in _FACTS if fact in row}
            shape = Type("model", facets={"family": row["family"]}, facts=MappingProxyType(facts), identity=name)
            found |= {_plain(n): shape for n in (name, *row.get("aliases", ()))}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise KistackError(f"kistack/data/models.yaml is damaged: {error}", "install kistack again") from error
    return MappingProxyType(found)


def _plain(name: str) -> str:
    return _PREFIX.sub("", name.strip().lower()).replace("_", "-").replace(" ", "-")
