"""Whether a teacher's licence or terms bar training another model on its output (``kistack/data/licences.yaml``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kistack.domain.facts import Fact, assumed
from kistack.domain.yamlfile import plain_yaml
from kistack.errors import KistackError

#: What terms say of training on output: nothing in the way, allowed under an obligation, only into the same family, no.
Output = Literal["free", "named", "own", "barred"]


class Terms(BaseModel):
    """One licence or one service's terms, with what they say about training other models on the output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    names: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    output: Output
    says: str
    sources: tuple[str, ...] = Field(min_length=1)

    def cover(self, licence: str, reference: str) -> bool:
        """Whether a model with this licence, or named by this reference, stands under these terms."""
        return _any(self.references, reference) or _any(self.names, licence)


class _Table(BaseModel):
    """The file as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(alias="schema")
    terms: tuple[Terms, ...]


def _any(patterns: tuple[str, ...], text: str) -> bool:
    return bool(text) and any(re.fullmatch(p, text.strip(), re.IGNORECASE) for p in patterns)


@cache
def known_terms() -> tuple[Terms, ...]:
    """The shipped table, read once.

    Raises:
        KistackError: the installation is damaged.
    """
    import yaml

    text = (resources.files("kistack.data") / "licences.yaml").read_text(encoding="utf-8")
    try:
        return _Table.model_validate(plain_yaml(text)).terms
    except (yaml.YAMLError, ValueError) as error:
        raise KistackError(f"kistack/data/licences.yaml: {error}", "install kistack again") from error


def terms_of(licence: str, reference: str = "") -> Terms | None:
    """The terms that a licence, as it is written, or a reference to a service stands for; None where nobody knows.

    Of several licences (``A OR B``) the most permissive counts, for the licensee may choose.
    """
    choices = re.split(r"\s+OR\s+", licence) if licence else [""]
    found = [next((t for t in known_terms() if t.cover(c, reference)), None) for c in choices]
    ranks: tuple[Output, ...] = ("free", "named", "own", "barred")
    return min((t for t in found if t is not None), key=lambda t: ranks.index(t.output), default=None)


def training_terms(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """The fact ``teacher.bars_training`` of a profile that names a teacher whose terms are known, else nothing.

    A licence that keeps its output for models of its own family does not bar a base model under the same licence.
    """
    if "teacher.reference" not in facts:
        return {}
    licence, reference = _text(facts, "teacher.licence"), _text(facts, "teacher.reference")
    terms = terms_of(licence, reference)
    if terms is None:
        return {}
    bars = terms.output == "barred"
    why = f"{terms.title}: {terms.says}"
    if terms.output == "own":
        base = terms_of(_text(facts, "model.licence"), _text(facts, "model.reference"))
        bars = base is None or base.id != terms.id
        why += "; the base model is not known to be one" if bars else "; the base model is one"
    return {"teacher.bars_training": assumed(bars, f"{why} ({terms.sources[0]})")}


def _text(facts: Mapping[str, Fact], name: str) -> str:
    fact = facts.get(name)
    return str(fact.value) if fact is not None and fact.value is not None else ""
