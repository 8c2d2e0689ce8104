"""A pytest plugin: tiny models, documents, pairs and a host for tests of plugins.

Name it in the ``conftest.py`` at the top of your tests: ``pytest_plugins = ["kistack.testing.fixtures"]``. What it
makes lies in a folder of the test session; nothing is downloaded, and no machine-learning library is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kistack.domain.artifacts import Artifact
    from kistack.plugins.host import Host

__all__ = [
    "plugin_host",
    "tiny_corpus",
    "tiny_encoder",
    "tiny_index",
    "tiny_items",
    "tiny_model",
    "tiny_pairs",
    "tiny_tokenizer",
]


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Forty documents of one sentence each (kind corpus, format jsonl)."""
    from kistack.testing import texts

    return texts.tiny_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def tiny_pairs(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Forty questions about them, with answers (kind pairs, format jsonl, without passages)."""
    from kistack.testing import texts

    return texts.tiny_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="session")
def tiny_items(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Eight held-out questions (kind items, format jsonl)."""
    from kistack.testing import texts

    return texts.tiny_items(tmp_path_factory.mktemp("items"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A llama of 53,000 random weights in fp32 with a byte-level tokenizer (kind model, format hf)."""
    from kistack.testing import tiny_models

    return tiny_models.tiny_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A sentence embedder of 32 dimensions (kind embedder, format sentence-transformers)."""
    from kistack.testing import tiny_models

    return tiny_models.tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_model: Artifact) -> Path:
    """The ``tokenizer.json`` of the tiny model, for ``tokenizers.Tokenizer.from_file``."""
    return tiny_model.path / "tokenizer.json"


@pytest.fixture
def tiny_index(tiny_corpus: Artifact) -> Any:
    """An opened index over the tiny documents: ``search(queries)`` and ``close()``."""
    from kistack.testing.rehearsal import RehearsedIndex

    stage = RehearsedIndex()
    return stage.open(stage.Settings(), tiny_corpus, {})


@pytest.fixture
def plugin_host() -> Callable[..., Host]:
    """Call it with a plugin (its ``hooks`` module): a host with the core and that plugin alone."""
    from kistack.plugins.host import load_host

    def load(plugin: Any, name: str = "tested") -> Host:
        return load_host(entry_points=False, extra={name: plugin})

    return load
