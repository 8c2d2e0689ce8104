"""A retriever that keeps the contract: what the bad ones are made from."""

import re

from pydantic import Field

from kistack.domain.prompt import Passage
from kistack.domain.records import Estimate
from kistack.plugins.builtins import read_jsonl, write_jsonl
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Need, Opens, Out, Port, Settings, Stage, Traits

KISTACK_API = "0.9"


class SoundSettings(Settings):
    """How passages are chosen."""

    top_k: int = Field(default=3, ge=1, le=50, description="passages put into the prompt")


class SoundIndex:
    def __init__(self, documents, top_k):
        self.documents, self.top_k = documents, top_k

    def search(self, queries):
        return [self._one(set(re.findall(r"\w+", query.casefold()))) for query in queries]

    def _one(self, asked):
        scored = [(len(asked & set(re.findall(r"\w+", d["text"].casefold()))), d) for d in self.documents]
        best = sorted(scored, key=lambda s: (-s[0], s[1]["id"]))[: self.top_k]
        return [Passage(d["id"], d["text"], document=d["id"], title=d["title"], score=float(s)) for s, d in best]

    def close(self):
        pass


class Sound(Stage):
    """Documents by the words they share with the question."""

    name = "retrieve/sound"
    summary = "documents by shared words"
    Settings = SoundSettings
    open_settings = frozenset({"top_k"})

    def traits(self, settings):
        return Traits(
            consumes={"corpus": Port(kind="corpus", where={"format": "jsonl"}, hint="name documents")},
            produces={"index": Out(kind="index", format=self.name.partition("/")[2], serve=True)},
            needs=(Need(fact="count", at_least=1, port="corpus", hint="add documents"),),
            opens=(Opens(kind="index", format=self.name.partition("/")[2], gives=("search",)),),
        )

    def estimate(self, settings, profile, inputs):
        size = inputs["corpus"].fact("bytes", 1000)
        facts = {"bytes": size, "count": inputs["corpus"].fact("count", 1), "passages": settings.top_k}
        return Estimate({"seconds": 0.5 + size / 1e7, "peak_bytes": 6e7}, {"index": {**facts, "passage_tokens": 20}})

    def serving(self, settings, profile, artifact, load):
        costs = {"query_seconds": 1e-3, "peak_bytes": 6e7}
        return Estimate(costs, {"passages": {"tokens": 20.0 * settings.top_k}})

    def run(self, settings, ctx):
        rows = list(read_jsonl(ctx.input("corpus").path / "corpus.jsonl"))
        kept = [{"id": r["id"], "title": r.get("title", ""), "text": r["text"]} for r in rows]
        size = write_jsonl(ctx.out("index") / "documents.jsonl", kept)
        ctx.progress(len(kept), len(kept), "documents")
        return {"index": {"bytes": size, "count": len(kept), "passages": settings.top_k, "passage_tokens": 20}}

    def open(self, settings, artifact, parts):
        return SoundIndex(list(read_jsonl(artifact.path / "documents.jsonl")), settings.top_k)


@hookimpl
def kistack_register_retrievers():
    return [Sound]
