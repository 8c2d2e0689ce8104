"""The environment that both stages live in."""

from __future__ import annotations

from pathlib import Path

from kistack.plugins.environments import Environment

#: kistack-torch loads models and words chats there as it does for trainers.
OPENVINO = Environment("openvino", Path(__file__).with_name("openvino.lock"), ("kistack_torch",))
#: The distributions whose versions decide what is written and answered.
LIBRARIES = ("openvino", "nncf", "optimum-intel", "transformers", "torch")
