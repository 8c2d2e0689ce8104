"""What an index costs to build, to keep and to ask. Pure arithmetic; constants measured on 2 x86-64 cores."""

from __future__ import annotations

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.costs import embed_seconds, flat_index_bytes, flat_query_seconds, machine
from kistack_haystack.settings import RetrieverSettings

#: Tokens that the prompt spends on a passage beside its text: its number in brackets and a line break.
NUMBERING_TOKENS = 4

#: Words of a unit of ``split_by`` (assumed, between prose and notes), and tokens of a word (1.3 in prose, 1.8 in this
#: project's own documents).
_UNIT_WORDS = {"recursive": 1.0, "word": 1.0, "line": 10.0, "passage": 50.0, "page": 500.0}
_TOKENS_PER_WORD = 1.6
#: How full passages are that end at paragraphs or sentences, as they do without an overlap. Measured: same documents.
_FILLED = 0.85

#: Seconds to import Haystack without torch, and resident bytes of a worker with it.
_START_SECONDS, _BUILD_BYTES = 1.5, 0.11e9
#: What a tokenizer and room to compute in add where passages are embedded.
_EMBEDDING_BYTES = 0.025e9
#: Seconds and resident bytes that a passage takes in the indexing pipeline, which copies what goes from one component
#: to the next; and per number of its vector, which Haystack keeps as a list of Python floats.
_PASSAGE_SECONDS, _PASSAGE_BYTES = 0.39e-3, 4.5e3
_NUMBER_SECONDS, _NUMBER_BYTES = 1e-6, 50.0
#: Bytes around the text of a stored passage (place, title, names of fields) beyond those of a document in the corpus;
#: those of a document, which every further passage takes too; and of the files' heads.
_ROW_BYTES, _DOCUMENT_BYTES, _FRAME_BYTES = 145.0, 85.0, 700.0
#: Resident bytes of the opened index, of a passage in it, and of the words of a passage per token.
_OPEN_BYTES, _HELD_BYTES, _TOKEN_BYTES = 0.05e9, 2e3, 30.0
#: Seconds of a question in a pipeline, of scoring one passage by the words of a question, and of one candidate in the
#: fusion (documents are copied).
_CALL_SECONDS, _SCORE_SECONDS, _FUSED_SECONDS = 2e-3, 7e-6, 80e-6


def count_passages(settings: RetrieverSettings, documents: float, tokens: float) -> tuple[float, float]:
    """(passages, mean tokens of one) that ``documents`` of ``tokens`` in all are cut into, lengths taken as even."""
    unit = _UNIT_WORDS[settings.split_by] * _TOKENS_PER_WORD
    longest, overlap = settings.split_length * unit, settings.split_overlap * unit
    mean = tokens / max(1.0, documents)
    if mean <= longest:
        return documents, mean
    at_sentences = settings.split_by == "recursive" and not settings.split_overlap
    step = (longest - overlap) * (_FILLED if at_sentences else 1.0)
    per_document = 1 + (mean - longest) / step
    return documents * per_document, (mean + (per_document - 1) * overlap) / per_document


def estimate_build(settings: RetrieverSettings, profile: Profile, corpus: Type, embedder: Type | None) -> Estimate:
    """Costs of building, and the facts of the index. ``settings`` name a method; one by meaning has an embedder."""
    documents = corpus.fact("count", profile.number("corpus.documents", 1.0))
    tokens = corpus.fact("tokens", 60.0 * documents)
    text_bytes = corpus.fact("bytes", 4.5 * tokens + 130.0 * documents)
    passages, passage_tokens = count_passages(settings, documents, tokens)
    repeated = max(1.0, passages * passage_tokens / max(1.0, tokens))
    stored = _FRAME_BYTES + text_bytes * repeated + _ROW_BYTES * passages + _DOCUMENT_BYTES * (passages - documents)
    seconds = _START_SECONDS + passages * _PASSAGE_SECONDS
    memory = _BUILD_BYTES + passages * _PASSAGE_BYTES + 5 * text_bytes * repeated
    scratch = dimension = 0.0
    if settings.embeds:
        embedding = _embedding(embedder, passages, passage_tokens, profile)
        dimension = embedding.fact("dimension")
        seconds += embedding.fact("seconds") + passages * dimension * _NUMBER_SECONDS
        memory += _EMBEDDING_BYTES + embedding.fact("bytes") + passages * dimension * _NUMBER_BYTES
        scratch = flat_index_bytes(passages, dimension)
        stored += scratch
    facts = {
        "bytes": stored,
        "count": passages,
        "documents": documents,
        "dimension": dimension,
        "passages": float(settings.top_k),
        "passage_tokens": passage_tokens + NUMBERING_TOKENS,
    }
    return Estimate({"seconds": seconds, "peak_bytes": memory, "scratch_bytes": scratch}, {"index": facts})


def _embedding(embedder: Type | None, passages: float, passage_tokens: float, profile: Profile) -> Type:
    """Seconds and resident bytes of embedding, and the length of the vectors, as facts."""
    from kistack_torch.embedding import estimates

    known = estimates.complete(embedder or Type("embedder"))
    with_torch = estimates.needs_torch(known.facets.get("family", ""), passages)
    here = machine(profile, processor=not with_torch)
    seconds = with_torch * estimates.TORCH_SECONDS + embed_seconds(known, passages * (passage_tokens + 2), here)
    resident = with_torch * estimates.TORCH_BYTES + estimates.EMBEDDER_SHARE * known.fact("bytes")
    return Type("", facts={"seconds": seconds, "bytes": resident, "dimension": known.fact("hidden")})


def estimate_search(settings: RetrieverSettings, profile: Profile, index: Type) -> Estimate:
    """Costs of the opened index on the serving machine; its embedder is the profile's.

    Every passage is scored for every question. ``peak_bytes`` is what the index adds to a process that runs Python; an
    embedder that needs torch shares it with a runtime that has it loaded, so beside such a one this is an upper bound.
    """
    count, passage_tokens = index.fact("count", 1.0), index.fact("passage_tokens", 60.0)
    query = _CALL_SECONDS
    memory = _OPEN_BYTES + count * (_HELD_BYTES + passage_tokens * _TOKEN_BYTES)
    if settings.counts_words:
        query += count * _SCORE_SECONDS
    if settings.embeds:
        from kistack_torch.embedding import estimates

        embedder = estimates.embedder_of(profile)
        dimension = index.fact("dimension") or embedder.fact("hidden")
        with_torch = estimates.needs_torch(profile.text("embedder.family"), 1)
        query += estimates.query_seconds(embedder, machine(profile, "serving", processor=not with_torch))
        query += flat_query_seconds(count, dimension, machine(profile, "serving", processor=True))
        memory += with_torch * estimates.TORCH_BYTES + estimates.EMBEDDER_SHARE * embedder.fact("bytes")
        memory += _EMBEDDING_BYTES + flat_index_bytes(count, dimension)
    if settings.embeds and settings.counts_words:
        query += 2 * min(count, max(settings.candidates, settings.top_k)) * _FUSED_SECONDS
    tokens = settings.top_k * passage_tokens
    return Estimate(
        {"query_seconds": query, "peak_bytes": memory},
        {"passages": {"tokens": tokens, "count": float(settings.top_k)}},
    )
