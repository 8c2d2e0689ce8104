"""kistack: decide, build and prove how a language model should get its knowledge."""

from __future__ import annotations
