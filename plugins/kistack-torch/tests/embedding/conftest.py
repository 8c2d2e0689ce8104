import pytest
from kistack_torch.embedding.testing import tiny_embedder

from kistack.domain.artifacts import Artifact


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other take longer than such small products do."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def embedder(tmp_path_factory):
    folder = tiny_embedder(tmp_path_factory.mktemp("embedder") / "model")
    return Artifact("embedder", "sentence-transformers", folder, "digest-of-embedder", "")
