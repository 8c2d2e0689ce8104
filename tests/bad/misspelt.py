"""Registers through a hook that there is not."""

from bad.sound import Sound
from kistack.plugins.hookspecs import hookimpl


class Misspelt(Sound):
    """As sound as its model."""

    name = "retrieve/misspelt"


@hookimpl
def kistack_register_retriever():
    return [Misspelt]
