"""What this plugin registers. Nothing heavy is imported here."""

from __future__ import annotations

from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Stage
from kistack_gguf.quantizer import GgufQuantizer
from kistack_gguf.runtime import LlamaCppRuntime

EXTRAS = {"logits": "exact perplexity and log-likelihoods of GGUF models, and an exact check of every export"}


@hookimpl
def kistack_register_quantizers() -> list[type[Stage]]:
    """The quantizer that writes GGUF."""
    return [GgufQuantizer]


@hookimpl
def kistack_register_runtimes() -> list[type[Stage]]:
    """The runtime that opens GGUF."""
    return [LlamaCppRuntime]
