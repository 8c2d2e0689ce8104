from kistack.testing.fixtures import *  # noqa: F403 - as pytest_plugins would bring them
