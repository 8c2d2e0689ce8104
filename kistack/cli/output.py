"""What the command line says: the result on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from kistack.errors import KistackError
from kistack.reporting.blocks import Page
from kistack.reporting.terminal import render


@dataclass
class Output:
    """How this invocation speaks; filled in by the global options."""

    quiet: bool = False
    debug: bool = False
    strict: bool = False

    def result(self, page: Page, document: Mapping[str, Any] | None = None, *, as_json: bool = False) -> None:
        """The command's result: a page for a reader, or one JSON document."""
        if as_json:
            sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
        else:
            render(page, self.stdout)
        sys.stdout.flush()

    def text(self, text: str) -> None:
        """The command's result as plain text."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()

    def say(self, line: str) -> None:
        """A line about what is going on; nothing under ``--quiet``."""
        if not self.quiet:
            self.stderr.print(line, markup=False, highlight=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        """A line that must be seen."""
        self.stderr.print(f"warning: {line}", markup=False, highlight=False, style="yellow", soft_wrap=True)

    def error(self, error: KistackError) -> None:
        """What is wrong, and what to do."""
        self.stderr.print(f"error: {error.message}", markup=False, highlight=False, style="red", soft_wrap=True)
        for line in filter(None, error.hint.splitlines()):
            self.stderr.print(f"hint: {line}", markup=False, highlight=False, soft_wrap=True)

    @property
    def stdout(self) -> Console:
        """The console of results: as wide as the terminal, or 120 columns where there is none."""
        return Console(file=sys.stdout, highlight=False, width=_width(sys.stdout))

    @property
    def stderr(self) -> Console:
        """The console of everything else."""
        return Console(file=sys.stderr, highlight=False, width=_width(sys.stderr))


def _width(stream: Any) -> int | None:
    if stream.isatty() or "COLUMNS" in os.environ:
        return None
    return 120


#: The one of this process.
out = Output()
