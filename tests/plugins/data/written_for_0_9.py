"""A plugin as it was written against plugin API 0.9, kept as it is: later versions of the same major must load it.

Do not mend this file when the API changes. Where a test of it fails, the change breaks other people's plugins.
"""

import json
import re

from pydantic import Field

from kistack.domain.prompt import Passage
from kistack.domain.records import Estimate
from kistack.errors import DataError
from kistack.plugins.builtins import read_jsonl, write_jsonl
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Need, Opens, Out, Port, Settings, Stage, Traits

KISTACK_API = "0.9"


class OldSettings(Settings):
    """How passages are chosen."""

    top_k: int = Field(default=3, ge=1, le=50, description="passages put into the prompt")


class OldIndex:
    def __init__(self, documents, top_k):
        self.documents, self.top_k = documents, top_k

    def search(self, queries):
        return [self._one(set(re.findall(r"\w+", query.casefold()))) for query in queries]

    def _one(self, asked):
        scores = [len(asked & set(re.findall(r"\w+", d["text"].casefold()))) for d in self.documents]
        best = sorted(range(len(scores)), key=lambda n: (-scores[n], n))[: self.top_k]
        return [
            Passage(
                self.documents[n]["id"],
                self.documents[n]["text"],
                document=self.documents[n]["id"],
                title=self.documents[n]["title"],
                score=float(scores[n]),
            )
            for n in best
        ]

    def close(self):
        pass


class OldRetriever(Stage):
    """Documents by shared words."""

    name = "retrieve/old"
    version = "1"
    summary = "documents by shared words"
    libraries = ()
    Settings = OldSettings
    open_settings = frozenset({"top_k"})

    def traits(self, settings):
        return Traits(
            consumes={"corpus": Port(kind="corpus", where={"format": "jsonl"}, hint="name documents")},
            produces={"index": Out(kind="index", format="old", serve=True)},
            needs=(Need(fact="count", at_least=1, port="corpus", hint="add documents"),),
            opens=(Opens(kind="index", format="old", gives=("search",)),),
            deterministic=True,
            seeded=False,
            timed=False,
            network=False,
            auto=False,
        )

    def suggest(self, profile, inputs):
        return [OldSettings(top_k=k) for k in (3, 5)]

    def resolve(self, settings, profile, inputs):
        return settings

    def estimate(self, settings, profile, inputs):
        size = inputs["corpus"].fact("bytes", 1000)
        facts = {"bytes": size, "count": inputs["corpus"].fact("count", 1), "passages": settings.top_k}
        return Estimate({"seconds": 0.5, "peak_bytes": 6e7}, {"index": {**facts, "passage_tokens": 20}})

    def serving(self, settings, profile, artifact, load):
        costs = {"query_seconds": 1e-3, "peak_bytes": 6e7}
        return Estimate(costs, {"passages": {"tokens": 20.0 * settings.top_k}})

    def run(self, settings, ctx):
        rows = list(read_jsonl(ctx.input("corpus").path / "corpus.jsonl"))
        if not rows:
            raise DataError("no documents", "add some")
        kept = [{"id": r["id"], "title": r.get("title", ""), "text": r["text"]} for r in rows]
        size = write_jsonl(ctx.out("index") / "documents.jsonl", kept)
        (ctx.scratch / "note").write_text(json.dumps({"seed": ctx.seed}))
        ctx.log(f"{len(kept)} documents")
        ctx.progress(len(kept), len(kept), "documents", words=1.0)
        return {"index": {"bytes": size, "count": len(kept), "passages": settings.top_k, "passage_tokens": 20}}

    def open(self, settings, artifact, parts):
        return OldIndex(list(read_jsonl(artifact.path / "documents.jsonl")), settings.top_k)


@hookimpl
def kistack_register_retrievers():
    return [OldRetriever]


@hookimpl
def kistack_judge_candidate(candidate, profile):
    return []


@hookimpl
def kistack_before_step(run, use, key):
    pass


@hookimpl
def kistack_after_step(run, use, key, record):
    assert record["use"] == use


@hookimpl
def kistack_step_failed(run, use, key, error):
    pass


@hookimpl
def kistack_run_finished(record):
    assert record.status
