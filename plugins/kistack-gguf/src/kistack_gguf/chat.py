"""Chats as one text, by the chat template that a GGUF file carries, rendered as transformers renders it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kistack.domain.prompt import Prompt
from kistack.errors import ModelError
from kistack_gguf.metadata import Metadata

_SPECIAL = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


class _Generation(Extension):
    """``{% generation %}`` marks what the assistant says for trainers; when prompting it only wraps its content."""

    tags = {"generation"}  # noqa: RUF012 - the name and type jinja2 asks for

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Read up to ``{% endgeneration %}``; the content stands for itself."""
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def _tojson(value: Any, **options: Any) -> str:
    # unlike jinja2's own filter nothing is escaped for HTML
    return json.dumps(value, **{"ensure_ascii": False, **options})


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().strftime(layout)  # noqa: DTZ005 - templates show the reader's local date


class ChatTemplate:
    """The template of one model.

    Templates come with models from strangers, so they run in jinja2's sandbox and see only plain values.

    Raises:
        ModelError: the template cannot be parsed.

    """

    def __init__(self, metadata: Metadata) -> None:
        self._path = metadata.path
        self._special = {name: metadata.token(key) for name, key in _SPECIAL.items()}
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _tojson
        environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
        source = metadata.values.get("tokenizer.chat_template")
        try:
            self._template = environment.from_string(source) if source else None
        except jinja2.TemplateError as e:
            raise self._error(e) from e

    def render(self, messages: Prompt) -> str:
        """The text up to where the assistant begins to speak, special tokens included.

        A model without a template (a base model) gets the turns one below the other.

        Raises:
            ModelError: the template refuses these messages.

        """
        if self._template is None:
            return self._special["bos_token"] + "".join(m["content"] + "\n\n" for m in messages)
        try:
            return self._template.render(
                messages=[dict(m) for m in messages],
                tools=None,
                documents=None,
                add_generation_prompt=True,
                **self._special,
            )
        except jinja2.TemplateError as e:
            raise self._error(e) from e

    def _error(self, reason: Exception) -> ModelError:
        return ModelError(
            f"{self._path}: its chat template fails: {reason}", "export the model with a chat template that fits"
        )
