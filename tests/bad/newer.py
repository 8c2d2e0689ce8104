"""Written for a kistack that there is not yet."""

from bad.sound import Sound
from kistack.plugins.hookspecs import hookimpl

KISTACK_API = "2.0"


class Newer(Sound):
    """As sound as its model."""

    name = "retrieve/newer"


@hookimpl
def kistack_register_retrievers():
    return [Newer]
