"""What this plugin registers. Nothing heavy is imported here."""

from __future__ import annotations

from kistack.plugins.environments import Environment
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Stage
from kistack_openvino.places import OPENVINO
from kistack_openvino.quantizer import OpenvinoQuantizer
from kistack_openvino.runtime import OpenvinoRuntime


@hookimpl
def kistack_register_environments() -> list[Environment]:
    """Where optimum-intel lives: it pins transformers to a release that the other plugins' pins exclude."""
    return [OPENVINO]


@hookimpl
def kistack_register_quantizers() -> list[type[Stage]]:
    """The quantizer that writes OpenVINO's format."""
    return [OpenvinoQuantizer]


@hookimpl
def kistack_register_runtimes() -> list[type[Stage]]:
    """The runtime that opens it."""
    return [OpenvinoRuntime]
