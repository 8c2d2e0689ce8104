"""The manifest of a bundle: what is in the folder, how to open it, where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kistack.domain.artifacts import Artifact, Opener
from kistack.domain.prompt import PromptTemplate
from kistack.errors import InputError

MANIFEST_FILE = "manifest.json"
#: In every run's folder.
BUNDLE_FOLDER = "bundle"
MANIFEST_SCHEMA = 1


class _Open(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    settings: Mapping[str, Any] = Field(default_factory=dict)


class Part(BaseModel):
    """One artifact of a bundle: a folder, its digest, and what must be opened with it.

    ``requires`` maps port names to other parts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    format: str
    path: str
    digest: str
    key: str
    facets: Mapping[str, str] = Field(default_factory=dict)
    facts: Mapping[str, float] = Field(default_factory=dict)
    requires: Mapping[str, str] = Field(default_factory=dict)
    opener: _Open | None = None


class Licence(BaseModel):
    """The licence of something in the bundle, with its text where one was found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: str
    licence: str
    text: str = ""


#: Tokens that any answer of a bundle may have; more where labelled answers are longer.
ANSWER_TOKENS = 64


class Manifest(BaseModel):
    """What ``manifest.json`` says.

    ``parts`` are the artifacts by name, ``models`` the delivered slots, ``index`` the part that is searched.
    ``max_new_tokens`` is how long an answer may become. ``scores`` are the metrics the run measured,
    ``{system: {metric: {value, low, high}}}``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: int = Field(default=MANIFEST_SCHEMA, alias="schema")
    name: str
    run: str
    created: str
    kistack: str
    plan: Mapping[str, Any]
    profile: str
    prompt: Mapping[str, str]
    parts: Mapping[str, Part]
    models: Mapping[str, str]
    index: str = ""
    max_new_tokens: int = ANSWER_TOKENS
    licences: tuple[Licence, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict)
    scores: Mapping[str, Mapping[str, Mapping[str, float]]] = Field(default_factory=dict)

    @property
    def template(self) -> PromptTemplate:
        """The wording around question and passages."""
        return PromptTemplate(**dict(self.prompt))

    def artifact(self, name: str, folder: Path) -> Artifact:
        """A part as an artifact under ``folder``."""
        part = self.parts[name]
        return Artifact(
            kind=part.kind,
            format=part.format,
            path=folder / part.path,
            digest=part.digest,
            key=part.key,
            facets=part.facets,
            facts=part.facts,
            requires=tuple(self.artifact(other, folder) for other in part.requires.values()),
            ports=tuple(part.requires),
            opener=None if part.opener is None else Opener(part.opener.stage, dict(part.opener.settings)),
        )

    def write(self, folder: Path) -> None:
        """Write it into the bundle's folder."""
        text = json.dumps(self.model_dump(mode="json", by_alias=True), indent=2, sort_keys=True)
        (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle.

    Raises:
        InputError: the folder is no bundle, or its manifest cannot be read.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise InputError(f"{folder} is not a bundle: it has no {MANIFEST_FILE}", "name a folder that kistack run left")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != MANIFEST_SCHEMA:
            raise InputError(f"{path}: schema {schema!r} is not known", f"this kistack reads schema {MANIFEST_SCHEMA}")
        return Manifest.model_validate(document)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged: it is not JSON", "copy the bundle again") from error
    except ValidationError as error:
        first = error.errors()[0]
        spot = ".".join(str(p) for p in first["loc"])
        raise InputError(f"{path}: {spot}: {first['msg']}", "copy the bundle again") from error
