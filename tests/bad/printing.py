"""Greets whoever imports it."""

from bad.sound import Sound
from kistack.plugins.hookspecs import hookimpl

print("hello from a plugin")


class Printing(Sound):
    """As sound as its model."""

    name = "retrieve/printing"


@hookimpl
def kistack_register_retrievers():
    return [Printing]
