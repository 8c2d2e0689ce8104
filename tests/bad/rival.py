"""Takes the name of another plugin's stage."""

from bad.sound import Sound
from kistack.plugins.hookspecs import hookimpl


class Rival(Sound):
    """Has the name of a stage of the toys."""

    name = "retrieve/toy"


@hookimpl
def kistack_register_retrievers():
    return [Rival]
