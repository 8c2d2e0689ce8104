"""What this plugin registers."""

from __future__ import annotations

from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Stage
from kistack_peft.lora import LoraTuner
from kistack_peft.merge import PeftMerge


@hookimpl
def kistack_register_tuners() -> list[type[Stage]]:
    """LoRA."""
    return [LoraTuner]


@hookimpl
def kistack_register_stages() -> list[type[Stage]]:
    """Merging an adapter into its base."""
    return [PeftMerge]
