"""The pipeline that brings documents into a store."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from haystack import Pipeline
from haystack.components.preprocessors import DocumentCleaner, RecursiveDocumentSplitter
from haystack.components.writers import DocumentWriter
from haystack.document_stores.types import DuplicatePolicy

from kistack_haystack.components.converting import CorpusConverter
from kistack_haystack.components.embedding import PassageEmbedder, Vectors
from kistack_haystack.components.passages import PassageNamer
from kistack_haystack.components.running import run_pipeline
from kistack_haystack.components.store import FolderDocumentStore
from kistack_haystack.settings import RetrieverSettings

#: Where the recursive splitter cuts, the first that makes passages short enough. Haystack's own list has a model of
#: sentences in it that is fetched from the network.
SEPARATORS = ("\n\n", "\n", ". ", " ")


def indexing_pipeline(
    store: FolderDocumentStore, settings: RetrieverSettings, embed: Callable[[list[str]], Vectors] | None = None
) -> Pipeline:
    """From the folder of a corpus into ``store``; ``embed`` makes the vectors of passages, if there are to be any."""
    line: list[tuple[str, Any]] = [("converter", CorpusConverter())]
    if settings.clean:
        line.append(("cleaner", _cleaner()))
    line += [("splitter", _splitter(settings)), ("namer", PassageNamer(settings.title))]
    if embed is not None:
        line.append(("embedder", PassageEmbedder(embed)))
    line.append(("writer", DocumentWriter(store, policy=DuplicatePolicy.FAIL)))
    pipeline = Pipeline()
    for name, one in line:
        pipeline.add_component(name, one)
    for (name, _), (following, _) in pairwise(line):
        pipeline.connect(f"{name}.documents", f"{following}.documents")
    return pipeline


def _cleaner() -> Any:
    """Paragraphs, lines and pages stay, because documents are cut there; Haystack's own choice runs them together."""
    tidy = {r"[^\S\n\f]+": " ", r" ?\n ?": "\n", r"\n{3,}": "\n\n"}
    return DocumentCleaner(remove_empty_lines=False, remove_extra_whitespaces=False, replace_regexes=tidy, keep_id=True)


def _splitter(settings: RetrieverSettings) -> Any:
    if settings.split_by == "recursive":
        return RecursiveDocumentSplitter(
            split_length=settings.split_length,
            split_overlap=settings.split_overlap,
            split_unit="word",
            separators=list(SEPARATORS),
        )
    # It loads a library for sentences, which takes a second, whatever it is to cut by.
    from haystack.components.preprocessors import DocumentSplitter

    return DocumentSplitter(
        split_by=settings.split_by, split_length=settings.split_length, split_overlap=settings.split_overlap
    )


def index_corpus(pipeline: Pipeline, corpus: Path) -> int:
    """Run an indexing pipeline; returns how many documents had no text.

    Raises:
        DataError: the corpus cannot be used.

    """
    found = run_pipeline(pipeline, {"converter": {"source": str(corpus)}})
    return int(found["converter"]["empty"])
