"""A bundle that answers in a process of its own."""

import pytest

from kistack.bundle.chat import Chat
from kistack.errors import InputError


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a bundle"):
        Chat(tmp_path)
