"""``retrieve/haystack``: documents to an index, and the index opened."""

from __future__ import annotations

from collections.abc import Mapping

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.sessions import IndexSession
from kistack.plugins.stages import Context, Load, Need, Opens, Out, Port, Stage, Traits
from kistack_haystack.costs import estimate_build, estimate_search
from kistack_haystack.settings import RetrieverSettings

FORMAT = "haystack"


class HaystackRetriever(Stage):
    """Cuts documents into passages with a pipeline of Haystack, and finds them by words, by meaning, or by both.

    BM25: Robertson and Zaragoza 2009, *The Probabilistic Relevance Framework*; BM25L: Lv and Zhai 2011. Fusion of
    ranks: Cormack, Clarke and Büttcher 2009.
    """

    name = "retrieve/haystack"
    summary = "passages found by words (BM25, no model needed), by meaning, or by both, with Haystack components"
    libraries = ("haystack-ai", "kistack-torch", "numpy", "tokenizers", "torch", "transformers")
    Settings = RetrieverSettings
    open_settings = frozenset({"top_k", "bm25_weight", "candidates"})

    def traits(self, settings: RetrieverSettings) -> Traits:
        """An index that is searched by meaning travels with its embedder; one that is searched by words needs none."""
        ports = {"corpus": Port(kind="corpus", where={"format": "jsonl"}, hint="name documents under knowledge.corpus")}
        if settings.method != "bm25":
            ports["embedder"] = Port(
                kind="embedder",
                where={"format": "sentence-transformers"},
                optional=settings.method == "auto",
                hint="name one under models.embedder, or search by words: method: bm25",
            )
        packages = ("kistack_torch", "transformers", "torch") if settings.embeds else ()
        return Traits(
            consumes=ports,
            produces={
                "index": Out(kind="index", format=FORMAT, requires=tuple(p for p in ports if p != "corpus"), serve=True)
            },
            needs=(Need(fact="count", at_least=1, port="corpus", hint="add documents under knowledge.corpus"),),
            packages=("haystack", *packages),
            opens=(Opens(kind="index", format=FORMAT, gives=("search",)),),
            opt_in=True,
            # Vectors and texts lie in main memory also where a GPU embeds the documents.
            processor=True,
        )

    def suggest(self, profile: Profile, inputs: Mapping[str, Type]) -> list[RetrieverSettings]:
        """Both methods where there is an embedder, else words, with three passages and with five.

        Words alone are not suggested beside both: to the model of quality all retrievers are alike, so the cheapest
        would be advised, whatever it finds.
        """
        method = "hybrid" if "embedder" in inputs else "bm25"
        return [RetrieverSettings(method=method, top_k=k) for k in (3, 5)]

    def resolve(self, settings: RetrieverSettings, profile: Profile, inputs: Mapping[str, Type]) -> RetrieverSettings:
        """Both methods where there is an embedder, else words."""
        return _settled(settings, has_embedder="embedder" in inputs)

    def estimate(self, settings: RetrieverSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Time, memory and size of the index."""
        settled = _settled(settings, has_embedder="embedder" in inputs)
        return estimate_build(settled, profile, inputs["corpus"], inputs.get("embedder"))

    def serving(self, settings: RetrieverSettings, profile: Profile, artifact: Type, load: Load) -> Estimate:
        """Time of one search, memory of the opened index, and the tokens its passages add to a prompt."""
        return estimate_search(_settled(settings, has_embedder=bool(artifact.fact("dimension"))), profile, artifact)

    def run(self, settings: RetrieverSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Build the index; a killed run goes on after its last finished batch of vectors."""
        from kistack_haystack.building import build_index

        embedder = next(iter(ctx.inputs("embedder")), None) if settings.method != "bm25" else None
        facts = build_index(_settled(settings, has_embedder=embedder is not None), ctx, embedder)
        return {"index": facts}

    def open(self, settings: RetrieverSettings, artifact: Artifact, parts: Mapping[str, Artifact]) -> IndexSession:
        """The index, with the embedder that travels with it if there is one, ready to search."""
        from kistack_haystack.session import PipelineSession

        return PipelineSession(artifact, settings, parts.get("embedder"))


def _settled(settings: RetrieverSettings, *, has_embedder: bool) -> RetrieverSettings:
    """The settings with a method in the place of ``auto``."""
    if settings.method != "auto":
        return settings
    return settings.model_copy(update={"method": "hybrid" if has_embedder else "bm25"})
