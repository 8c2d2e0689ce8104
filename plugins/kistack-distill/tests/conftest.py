import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Sums this small only lose time to threads."""
    import kistack_torch.devices

    monkeypatch.setattr(kistack_torch.devices, "threads", lambda: 1)
