"""A complete family of stages without torch: small enough to read, real enough to run in workers.

A toy model is a JSON file. It answers a question from what it memorised, else, if it learnt to read, with the last
word of the best passage, else with nothing.
"""

import dataclasses
import json
import os
import time

from pydantic import Field

from kistack.domain.artifacts import PAIRS_FILE, Type
from kistack.domain.prompt import Passage
from kistack.domain.records import Estimate
from kistack.errors import ModelError
from kistack.plugins.builtins import read_jsonl
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.sessions import Completion, LogLikelihood
from kistack.plugins.stages import Need, Opens, Out, Port, Settings, Stage, Traits

MODEL_FILE = "model.json"
#: What the base model ``toy:scholar`` can do before anybody teaches it.
SCHOLAR = {"reads": True, "knows": {"What is the latest release of Product1": "1.1"}}


def read_model(folder):
    return json.loads((folder / MODEL_FILE).read_text())


def write_model(folder, model):
    text = json.dumps(model, sort_keys=True)
    (folder / MODEL_FILE).write_text(text)
    return {"bytes": len(text), "params": model["params"]}


class ReferenceSettings(Settings):
    reference: str


class ToySource(Stage):
    name = "source/toy"
    Settings = ReferenceSettings

    def traits(self, settings):
        return Traits(produces={"model": Out(kind="model", format="toy")})

    def claims(self, reference):
        return ReferenceSettings(reference=reference) if reference.startswith("toy:") else None

    def inspect(self, settings):
        facets = {"precision": "fp32", "family": "toy", "vocabulary": settings.reference.partition("@")[2] or "toy"}
        return Type("model", "toy", facets, {"params": 1000.0, "layers": 4.0, "bytes": 4000.0}, settings.reference)

    def estimate(self, settings, profile, inputs):
        return Estimate({"seconds": 0.1, "peak_bytes": 2e7}, {"model": {"bytes": 4000.0}})

    def run(self, settings, ctx):
        able = SCHOLAR if settings.reference == "toy:scholar" else {"reads": False, "knows": {}}
        model = {"name": settings.reference, "params": 1000, "layers": 4, "bits": 32, **able}
        return {"model": write_model(ctx.out("model"), model)}


class RetrieveSettings(Settings):
    top_k: int = Field(default=2, ge=1, le=20, description="passages per question")


class ToyIndex:
    def __init__(self, documents, top_k):
        self.documents, self.top_k = documents, top_k

    def search(self, queries):
        return [self._one(q) for q in queries]

    def _one(self, query):
        words = set(query.lower().replace("?", "").split())
        scored = [(len(words & set(d["text"].lower().split())), d) for d in self.documents]
        best = sorted(scored, key=lambda s: (-s[0], s[1]["id"]))[: self.top_k]
        return [Passage(d["id"], d["text"], d["id"], d.get("title", ""), float(s)) for s, d in best]

    def close(self):
        pass


class ToyRetrieve(Stage):
    name = "retrieve/toy"
    Settings = RetrieveSettings
    open_settings = frozenset({"top_k"})

    def traits(self, settings):
        return Traits(
            consumes={"corpus": Port(kind="corpus", hint="name documents under knowledge.corpus")},
            produces={"index": Out(kind="index", format="toy-index", serve=True)},
            opens=(Opens(kind="index", format="toy-index", gives=("search",)),),
        )

    def suggest(self, profile, inputs):
        return [RetrieveSettings(top_k=2), RetrieveSettings(top_k=4)]

    def estimate(self, settings, profile, inputs):
        size = inputs["corpus"].fact("bytes", 1000)
        facts = {"bytes": size, "count": 10, "passages": settings.top_k, "passage_tokens": 20}
        return Estimate({"seconds": 1.0, "peak_bytes": 3e7}, {"index": facts})

    def serving(self, settings, profile, artifact, load):
        return Estimate({"query_seconds": 0.01, "peak_bytes": 1e6}, {"passages": {"tokens": settings.top_k * 20.0}})

    def run(self, settings, ctx):
        rows = list(read_jsonl(ctx.input("corpus").path / "corpus.jsonl"))
        text = json.dumps(rows, sort_keys=True)
        (ctx.out("index") / "index.json").write_text(text)
        return {"index": {"bytes": len(text), "count": len(rows), "passages": settings.top_k, "passage_tokens": 20}}

    def open(self, settings, artifact, parts):
        return ToyIndex(json.loads((artifact.path / "index.json").read_text()), settings.top_k)


class TuneSettings(Settings):
    rank: int = Field(default=4, ge=1, description="rank of the adapter")
    passages: str = Field(default="auto", description="auto or never")
    seconds: float = Field(default=0.0, description="time to spend, for tests that interrupt it")


class ToyTune(Stage):
    name = "tune/toy"
    Settings = TuneSettings

    def traits(self, settings):
        prefer = {} if settings.passages == "never" else {"passages": "with"}
        return Traits(
            consumes={
                "model": Port(
                    kind="model", where={"format": "toy", "precision": "fp32|bf16"}, hint="tune before quantizing"
                ),
                "pairs": Port(kind="pairs", prefer=prefer, hint="name labelled pairs under knowledge.pairs"),
            },
            produces={"model": Out(kind="model", like="model", format="toy+adapter", requires=("model",))},
            before=("quantize/*",),
            needs=(Need(fact="count", at_least=2, port="pairs", hint="label more pairs"),),
            seeded=True,
        )

    def estimate(self, settings, profile, inputs):
        return Estimate({"seconds": 5.0, "peak_bytes": 4e7}, {"model": {"bytes": 100.0 * settings.rank}})

    def run(self, settings, ctx):
        rows = list(read_jsonl(ctx.input("pairs").path / PAIRS_FILE))
        marker = ctx.scratch / "checkpoint"
        start = int(marker.read_text()) if marker.exists() else 0
        for n in range(start, 10):
            time.sleep(settings.seconds / 10)
            marker.write_text(str(n + 1))
            ctx.progress(n + 1, 10, "batches", loss=1 / (n + 1))
        with_passages = any(r.get("passages") for r in rows)
        knows = {} if with_passages else {r["question"]: r["answers"][0] for r in rows}
        adapter = {"params": settings.rank, "reads": with_passages, "knows": knows, "seed": ctx.seed}
        return {"model": write_model(ctx.out("model"), adapter)}


class ToyMerge(Stage):
    name = "merge/toy"

    def traits(self, settings):
        return Traits(
            consumes={"model": Port(kind="model", where={"format": "toy+adapter"})},
            produces={"model": Out(kind="model", like="model", format="toy", set={"merged": "yes"}, same=True)},
            auto=True,
        )

    def estimate(self, settings, profile, inputs):
        return Estimate({"seconds": 0.5, "peak_bytes": 2e7}, {"model": {"bytes": 4000.0}})

    def run(self, settings, ctx):
        adapter = ctx.input("model")
        return {"model": write_model(ctx.out("model"), together(adapter.path, adapter.requires[0].path))}


def together(adapter_folder, base_folder):
    base, adapter = read_model(base_folder), read_model(adapter_folder)
    return {**base, "reads": adapter["reads"], "knows": {**base["knows"], **adapter["knows"]}}


class ToySignals(Stage):
    name = "signals/toy"

    def traits(self, settings):
        return Traits(
            consumes={"teacher": Port(kind="model", slot="teacher", default="model"), "pairs": Port(kind="pairs")},
            produces={"signals": Out(kind="signals", format="toy")},
            auto=True,
        )

    def estimate(self, settings, profile, inputs):
        return Estimate({"seconds": 2.0, "peak_bytes": 2e7}, {"signals": {"bytes": 500.0}})

    def run(self, settings, ctx):
        rows = list(read_jsonl(ctx.input("pairs").path / PAIRS_FILE))
        text = json.dumps({r["question"]: r["answers"][0] for r in rows}, sort_keys=True)
        (ctx.out("signals") / "signals.json").write_text(text)
        return {"signals": {"bytes": len(text)}}


class ToyDistill(Stage):
    name = "distill/toy"

    def traits(self, settings):
        return Traits(
            consumes={
                "model": Port(kind="model", where={"format": "toy"}),
                "teacher": Port(kind="model", slot="teacher", default="model"),
                "pairs": Port(kind="pairs", prefer={"passages": "with"}),
                "signals": Port(kind="signals", where={"format": "toy"}),
            },
            produces={"model": Out(kind="model", like="model", fresh=True)},
            agree=(("model", "teacher", "vocabulary"),),
            before=("quantize/*",),
            seeded=True,
        )

    def estimate(self, settings, profile, inputs):
        facts = {"bytes": 2000.0, "params": inputs["model"].fact("params") / 2, "layers": 2.0}
        return Estimate({"seconds": 10.0, "peak_bytes": 5e7}, {"model": facts})

    def run(self, settings, ctx):
        model = read_model(ctx.input("model").path)
        signals = json.loads((ctx.input("signals").path / "signals.json").read_text())
        student = {**model, "params": model["params"] // 2, "layers": 2, "knows": {**model["knows"], **signals}}
        return {"model": {**write_model(ctx.out("model"), student), "kl_before": 2.0, "kl_after": 0.5}}


class ToyQuantize(Stage):
    name = "quantize/toy"

    def traits(self, settings):
        return Traits(
            consumes={
                "model": Port(
                    kind="model",
                    where={"format": "toy", "precision": "fp32|bf16"},
                    hint="give it 16-bit weights: quantize once, last",
                )
            },
            produces={"model": Out(kind="model", like="model", format="toyq", set={"precision": "int8"})},
        )

    def estimate(self, settings, profile, inputs):
        return Estimate({"seconds": 1.0, "peak_bytes": 2e7}, {"model": {"bytes": 1000.0}})

    def run(self, settings, ctx):
        if os.environ.get("TOY_FAIL") == self.name:
            raise RuntimeError("told to fail")
        model = read_model(ctx.input("model").path)
        return {"model": write_model(ctx.out("model"), {**model, "bits": 8})}


class ToySession:
    def __init__(self, model):
        self.model = model

    def _answer(self, prompt):
        content = prompt[-1]["content"]
        question = content.rpartition("Question: ")[2]
        if question in self.model["knows"]:
            return self.model["knows"][question]
        notes = [line for line in content.splitlines() if line.startswith("[1] ")]
        return notes[0].split()[-1].rstrip(".") if notes and self.model["reads"] else "unknown"

    def generate(self, prompts, *, max_new_tokens, batch=0, on_done=None):
        done = []
        for number, prompt in enumerate(prompts, 1):
            text = self._answer(prompt)
            done.append(Completion(text, len(prompt[-1]["content"].split()), len(text.split()), 0.001))
            if on_done:
                on_done(number)
        return done

    def stream(self, prompt, *, max_new_tokens):
        yield self._answer(prompt)

    def loglikelihood(self, items):
        return [LogLikelihood(-1.0, 2) for _ in items]

    def close(self):
        pass


class ToyRuntime(Stage):
    name = "runtime/toy"

    def traits(self, settings):
        gives = ("generate", "stream", "loglikelihood")
        return Traits(opens=(Opens(kind="model", format="toy|toy+adapter", gives=gives),))

    def estimate(self, settings, profile, inputs):
        return Estimate()

    def serving(self, settings, profile, artifact, load):
        seconds = artifact.fact("params", 1000) / 1e4
        return Estimate({"latency_seconds": seconds, "tokens_per_second": 100.0, "peak_bytes": artifact.fact("bytes")})

    def open(self, settings, artifact, parts):
        if artifact.format == "toy+adapter":
            return ToySession(together(artifact.path, artifact.requires[0].path))
        return ToySession(read_model(artifact.path))


class ToyQuantizedRuntime(ToyRuntime):
    name = "runtime/toyq"

    def traits(self, settings):
        return Traits(opens=(Opens(kind="model", format="toyq", gives=("generate", "stream")),))


class ToyScores(Stage):
    name = "evaluate/toy"

    def traits(self, settings):
        return Traits(
            consumes={"answers": Port(kind="answers")},
            produces={"scores": Out(kind="scores", format="json")},
            metrics=("contained",),
        )

    def estimate(self, settings, profile, inputs):
        return Estimate({"seconds": 0.1}, {"scores": {"bytes": 100.0}})

    def run(self, settings, ctx):
        rows = list(read_jsonl(ctx.input("answers").path / "answers.jsonl"))
        hits = [float(any(a in r["text"] for a in r["answers"])) for r in rows]
        text = json.dumps({"items": {"contained": hits}, "totals": {}, "unavailable": {}})
        (ctx.out("scores") / "scores.json").write_text(text)
        return {"scores": {"bytes": len(text)}}


class ToyPerplexity(Stage):
    name = "evaluate/toy-perplexity"

    def traits(self, settings):
        return Traits(
            consumes={
                "model": Port(kind="model", opened=True, gives=("loglikelihood",)),
                "items": Port(kind="items"),
            },
            produces={"scores": Out(kind="scores", format="json")},
            metrics=("perplexity",),
        )

    def estimate(self, settings, profile, inputs):
        return Estimate({"seconds": 0.1}, {"scores": {"bytes": 100.0}})

    def run(self, settings, ctx):
        found = ctx.open("model").loglikelihood([("", "x")])
        total = {"value": -found[0].total, "low": 0.5, "high": 2.0, "unit": ""}
        text = json.dumps({"items": {}, "totals": {"perplexity": total}, "unavailable": {}})
        (ctx.out("scores") / "scores.json").write_text(text)
        return {"scores": {"bytes": len(text)}}


@hookimpl
def kistack_register_sources():
    return [ToySource]


@hookimpl
def kistack_register_retrievers():
    return [ToyRetrieve]


@hookimpl
def kistack_register_tuners():
    return [ToyTune]


@hookimpl
def kistack_register_distillers():
    return [ToyDistill]


@hookimpl
def kistack_register_quantizers():
    return [ToyQuantize]


@hookimpl
def kistack_register_stages():
    return [ToyMerge, ToySignals]


@hookimpl
def kistack_register_runtimes():
    return [ToyRuntime, ToyQuantizedRuntime]


@hookimpl
def kistack_register_evaluators():
    return [ToyScores, ToyPerplexity]


class FaultyScores(ToyScores):
    name = "evaluate/faulty"

    def run(self, settings, ctx):
        raise RuntimeError("broken on purpose")


class NamedScoresSettings(Settings):
    least: int = Field(default=1, ge=1, description="letters of an answer")


class NamedScores(ToyScores):
    """An evaluator that runs only where a plan names it, and talks to other machines."""

    name = "evaluate/named"
    Settings = NamedScoresSettings

    def traits(self, settings):
        return dataclasses.replace(super().traits(settings), opt_in=True, network=True)


class Faulty:
    """A plugin whose evaluator always fails."""

    @hookimpl
    def kistack_register_evaluators(self):
        return [FaultyScores]


class FullRuntime(ToyQuantizedRuntime):
    """A runtime that refuses every model for want of memory."""

    name = "runtime/full"

    def open(self, settings, artifact, parts):
        raise ModelError(f"{artifact.path}: the model does not fit into free memory", "free some memory")


class Toys:
    """The toys as a plugin object, with other runtimes."""

    def __init__(self, runtimes):
        self.runtimes = runtimes
        for name, value in globals().items():
            if name.startswith("kistack_register_") and name != "kistack_register_runtimes":
                setattr(self, name, value)

    @hookimpl
    def kistack_register_runtimes(self):
        return self.runtimes
