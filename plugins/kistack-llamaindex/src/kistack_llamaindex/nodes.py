"""Documents cut into LlamaIndex nodes, and LlamaIndex's view of the encoder. Imports LlamaIndex: used when building."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from kistack_torch.embedding.encoders import Encoder
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.node_parser.node_utils import build_nodes_from_splits
from llama_index.core.schema import BaseNode, Document, MetadataMode, TextNode

from kistack.plugins.texts import Text
from kistack_llamaindex.settings import RetrieverSettings

#: What a node knows beside its text; only the title is ever shown to the embedder or the reader.
_FIELDS = ("date", "part", "title")

#: Batches handed over together, so that several cores can take one each.
BATCHES = 8
#: LlamaIndex takes no more at once.
_MOST_AT_ONCE = 2048


class EncoderEmbedding(BaseEmbedding):  # type: ignore[misc]  # LlamaIndex is not type-checked here
    """The encoder as a LlamaIndex embedding, for use in its pipelines and retrievers."""

    _encoder: Encoder = PrivateAttr()
    _batch: int = PrivateAttr()

    def __init__(self, encoder: Encoder, batch: int) -> None:
        super().__init__(embed_batch_size=min(batch * BATCHES, _MOST_AT_ONCE))
        self._encoder = encoder
        self._batch = batch

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._encode([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._encode(texts, "passage")

    def _encode(self, texts: list[str], role: Any) -> list[list[float]]:
        found: list[list[float]] = self._encoder.encode(texts, role, batch=self._batch).tolist()
        return found


def make_nodes(
    texts: Sequence[Text],
    settings: RetrieverSettings,
    tokenise: Callable[[str], list[int]],
    room: int,
) -> Iterator[TextNode]:
    """Nodes of at most ``room`` tokens (title included where it is embedded), in the order of the documents.

    A node's id is its document's, with ``#1``, ``#2``, … from the second node on, so that ids stay the same from one
    build to the next. Sentences are kept whole where they fit.
    """
    longest = min(settings.chunk_tokens, room)

    @cache
    def splitter(size: int) -> SentenceSplitter:
        return SentenceSplitter(
            chunk_size=size,
            chunk_overlap=min(settings.overlap, size // 2),
            tokenizer=tokenise,
        )

    for text in texts:
        taken = len(tokenise(f"{text.title}\n")) if text.title and settings.title != "none" else 0
        # A title may take half of a passage at most: beyond that the embedder cuts the end of the text off.
        size = max(longest - taken, (longest + 1) // 2)
        # Cut here, not by get_nodes_from_documents: that one prints on stdout where passages are short.
        document = Document(id_=text.id, text=text.text)
        for node in build_nodes_from_splits(splitter(size).split_text(text.text), document, id_func=_node_id):
            yield _describe(node, text, settings)


def embedded_text(node: BaseNode) -> str:
    """What of a node the embedder reads."""
    return str(node.get_content(MetadataMode.EMBED))


def passage_row(node: BaseNode) -> dict[str, str]:
    """What of a node is kept: its text as the reader gets it, and where it comes from."""
    return {
        "id": node.node_id,
        "document": str(node.ref_doc_id),
        "text": str(node.get_content(MetadataMode.LLM)),
        **{name: str(node.metadata.get(name, "")) for name in _FIELDS},
    }


def _describe(node: TextNode, text: Text, settings: RetrieverSettings) -> TextNode:
    """The node with its document's metadata; of it only the title is shown, and not where the text names it already."""
    title = text.title.strip()
    named = not title or title.casefold() in node.text.casefold()
    node.metadata = {"title": title, "date": text.date, "part": text.part}
    node.metadata_template = "{value}"
    node.text_template = "{metadata_str}\n{content}"
    shown = set() if named else {"none": set(), "embedding": {"embed"}, "text": {"embed", "llm"}}[settings.title]
    node.excluded_embed_metadata_keys = ["date", "part", *([] if "embed" in shown else ["title"])]
    node.excluded_llm_metadata_keys = ["date", "part", *([] if "llm" in shown else ["title"])]
    return node


def _node_id(number: int, document: BaseNode) -> str:
    return f"{document.node_id}#{number}" if number else document.node_id
