"""Takes its time while it is imported."""

import time

from bad.sound import Sound
from kistack.plugins.hookspecs import hookimpl

time.sleep(1.6)


class Slow(Sound):
    """As sound as its model."""

    name = "retrieve/slow"


@hookimpl
def kistack_register_retrievers():
    return [Slow]
