"""A family of stages that exist on paper only: real settings, traits and estimates, nothing to run.

Their estimates use the cost formulas with real model shapes, so that advice over them is advice about real machines.
"""

from dataclasses import replace

from pydantic import Field

from kistack.domain.artifacts import UNQUANTIZED, Type
from kistack.domain.facts import Fact, Profile
from kistack.domain.records import Estimate
from kistack.plugins import costs
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Load, Opens, Out, Port, Settings, Stage, Traits

SHAPES = {
    "135m": (134.5e6, 30, 576, 9, 3, 64, 1536, 49152, 8192),
    "1b7": (1.71e9, 24, 2048, 32, 32, 64, 8192, 49152, 8192),
    "7b": (7.62e9, 28, 3584, 28, 4, 128, 18944, 152064, 32768),
}
NAMES = ("params", "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context")
MACHINES = {
    "laptop": {"cores": 2, "isa": "avx512 bf16", "ram_free": 20e9, "disk_free": 50e9, "bandwidth": 52e9,
               "flops_fp32": 350e9, "flops_bf16": 700e9, "gpus": 0},
    "phone": {"cores": 4, "isa": "neon", "ram_free": 3e9, "disk_free": 20e9, "bandwidth": 30e9, "flops_fp32": 120e9,
              "gpus": 0},
    "gpu": {"cores": 16, "isa": "avx512", "ram_free": 100e9, "disk_free": 500e9, "bandwidth": 1008e9,
            "flops_fp32": 82e12, "flops_bf16": 165e12, "gpus": 1, "gpu_free": 24e9},
    "server": {"cores": 16, "isa": "avx512", "ram_free": 200e9, "disk_free": 900e9, "bandwidth": 2039e9,
               "flops_fp32": 19e12, "flops_bf16": 312e12, "gpus": 1, "gpu_free": 80e9},
    "board": {"cores": 4, "isa": "neon", "ram_free": 6e9, "disk_free": 20e9, "bandwidth": 10e9, "flops_fp32": 85e9,
              "gpus": 0},
}  # fmt: skip


def shape(name):
    return {n: float(v) for n, v in zip(NAMES, SHAPES[name], strict=True)}


def profile_of(model="135m", train="laptop", serve="laptop", **changes):
    """A profile with a named model and machines; ``section__fact=value`` changes one, None removes it."""
    values = {f"model.{n}": v for n, v in shape(model).items()}
    values |= {
        "model.reference": f"paper:{model}", "model.source": "source/paper", "model.format": "hf",
        "model.identity": model, "model.bytes": 2 * values["model.params"], "model.precision": "bf16",
        "model.family": "llama", "model.vocabulary": "v",
        "corpus.identity": "c", "corpus.documents": 1136, "corpus.bytes": 120e3, "corpus.tokens": 34e3,
        "pairs.identity": "p", "items.identity": "i", "pairs.train": 330, "pairs.test": 160,
        "pairs.train_bytes": 60e3, "pairs.test_bytes": 30e3, "pairs.prompt_tokens": 45, "pairs.answer_tokens": 8,
        "pairs.answer_words": 2, "pairs.answers_in_corpus": 0.98, "pairs.leakage": 0.0,
        "freshness.changed_per_day": 0.0005,
        "scenario.task": "facts", "scenario.metric": "contained", "scenario.queries_per_day": 100,
        "scenario.concurrency": 1, "scenario.horizon_days": 90, "scenario.indifference": 2.0,
        "scenario.local_only": False, "scenario.erasable": False, "scenario.per_user_access": False,
    }  # fmt: skip
    values |= {f"hardware.{n}": v for n, v in MACHINES[train].items()}
    values |= {f"serving.{n}": v for n, v in MACHINES[serve].items()}
    values |= {name.replace("__", "."): value for name, value in changes.items()}
    return Profile({n: Fact(v, "", "measured", "made for a test") for n, v in values.items() if v is not None})


class Reference(Settings):
    reference: str


class PaperSource(Stage):
    name = "source/paper"
    Settings = Reference

    def traits(self, settings):
        return Traits(produces={"model": Out(kind="model", format="hf")}, processor=True)

    def claims(self, reference):
        return Reference(reference=reference) if reference.startswith("paper:") else None

    def inspect(self, settings):
        name = settings.reference.partition(":")[2]
        return Type("model", "hf", {"precision": "bf16", "vocabulary": "v"}, shape(name), name)

    def estimate(self, settings, profile, inputs):
        return Estimate({"seconds": 1.0, "peak_bytes": 1e8}, {"model": {"bytes": profile.number("model.bytes")}})


class TopK(Settings):
    top_k: int = Field(default=3, ge=1, description="passages per question")


class PaperRetrieve(Stage):
    name = "retrieve/paper"
    Settings = TopK
    open_settings = frozenset({"top_k"})

    def traits(self, settings):
        return Traits(
            consumes={"corpus": Port(kind="corpus", hint="name documents under knowledge.corpus")},
            produces={"index": Out(kind="index", format="paper", serve=True)},
            opens=(Opens(kind="index", format="paper", gives=("search",)),),
            processor=True,
        )

    def suggest(self, profile, inputs):
        return [TopK(top_k=3), TopK(top_k=5)]

    def estimate(self, settings, profile, inputs):
        corpus = inputs["corpus"]
        count = corpus.fact("count", 1)
        facts = {"bytes": corpus.fact("bytes") + count * 4 * 384, "count": count, "passages": settings.top_k}
        facts["passage_tokens"] = min(250.0, corpus.fact("tokens") / count)
        return Estimate({"seconds": 15 + count / 40, "peak_bytes": 1e9}, {"index": facts})

    def serving(self, settings, profile, artifact, load):
        added = settings.top_k * artifact.fact("passage_tokens")
        memory = artifact.fact("bytes") + 0.4e9
        return Estimate({"query_seconds": 0.03, "peak_bytes": memory}, {"passages": {"tokens": added}})


class Rank(Settings):
    rank: int = Field(default=16, ge=1, description="rank of the adapter")


class PaperTune(Stage):
    name = "tune/paper"
    Settings = Rank

    def traits(self, settings):
        return Traits(
            consumes={
                "model": Port(kind="model", where={"format": "hf", "precision": UNQUANTIZED}),
                "pairs": Port(kind="pairs", prefer={"passages": "with"}, hint="name pairs under knowledge.pairs"),
            },
            produces={"model": Out(kind="model", like="model", format="hf+peft", requires=("model",))},
            before=("quantize/*",),
            seeded=True,
        )

    def suggest(self, profile, inputs):
        return [Rank(rank=16), Rank(rank=64)]

    def estimate(self, settings, profile, inputs):
        model, pairs = inputs["model"], inputs["pairs"]
        here = costs.machine(profile)
        trained = costs.lora_params(model, settings.rank)
        sequence = pairs.fact("prompt_tokens") + pairs.fact("answer_tokens")
        seconds = costs.train_seconds(model.fact("params"), trained, 2 * pairs.fact("count") * sequence, here, "bf16")
        peak = costs.train_peak_bytes(model, trained, 8 * sequence, sequence, "bf16", logit_tokens=8 * 16)
        return Estimate({"seconds": 10 + seconds, "peak_bytes": peak}, {"model": {"bytes": 4 * trained}})


class PaperMerge(Stage):
    name = "merge/paper"

    def traits(self, settings):
        return Traits(
            consumes={"model": Port(kind="model", where={"format": "hf+peft"})},
            produces={"model": Out(kind="model", like="model", format="hf", set={"merged": "yes"}, same=True)},
            auto=True,
        )

    def estimate(self, settings, profile, inputs):
        size = 2 * inputs["model"].fact("params")
        return Estimate({"seconds": 5.0, "peak_bytes": 3 * size}, {"model": {"bytes": size}})


class Student(Settings):
    keep: float = Field(default=0.5, gt=0, le=1, description="share of the layers the student keeps")


class PaperDistill(Stage):
    name = "distill/paper"
    Settings = Student

    def traits(self, settings):
        return Traits(
            consumes={
                "model": Port(kind="model", where={"format": "hf", "precision": UNQUANTIZED}),
                "teacher": Port(kind="model", slot="teacher", default="model"),
                "pairs": Port(kind="pairs", prefer={"passages": "with"}, hint="name pairs under knowledge.pairs"),
            },
            produces={"model": Out(kind="model", like="model", fresh=True)},
            before=("tune/*", "quantize/*"),
            seeded=True,
        )

    def suggest(self, profile, inputs):
        larger = profile.number("teacher.params") > 1.2 * profile.number("model.params")
        return [Student(keep=1.0)] if larger else [Student(keep=0.5)]

    def estimate(self, settings, profile, inputs):
        model, pairs = inputs["model"], inputs["pairs"]
        layers = model.fact("layers") * settings.keep
        kept = model.fact("params") - (model.fact("layers") - layers) * sum(
            a * b for a, b in costs.layer_matrices(model).values()
        )
        tokens = 2 * pairs.fact("count") * (pairs.fact("prompt_tokens") + pairs.fact("answer_tokens"))
        seconds = costs.train_seconds(kept, kept, tokens, costs.machine(profile), "fp32")
        peak = costs.train_peak_bytes(model, kept, 512, 128, "fp32")
        facts = {"bytes": 2 * kept, "params": kept, "layers": layers}
        return Estimate({"seconds": 10 + 1.5 * seconds, "peak_bytes": peak}, {"model": facts})


class Kind(Settings):
    kind: str = Field(default="Q8_0", description="GGUF type")


class PaperQuantize(Stage):
    name = "quantize/paper"
    Settings = Kind

    def traits(self, settings):
        source = {"format": "hf", "precision": UNQUANTIZED}
        return Traits(
            consumes={"model": Port(kind="model", where=source, hint="give it 16-bit weights")},
            produces={"model": Out(kind="model", like="model", format="gguf", set={"precision": settings.kind})},
            processor=True,
        )

    def suggest(self, profile, inputs):
        return [Kind(kind="Q8_0"), Kind(kind="Q4_0")]

    def estimate(self, settings, profile, inputs):
        size = costs.model_bytes(inputs["model"], settings.kind)
        return Estimate({"seconds": 3 + size / 1e8, "peak_bytes": 0.3e9 + size}, {"model": {"bytes": size}})


class PaperEager(Stage):
    name = "runtime/paper"
    formats = "hf|hf+peft"

    def traits(self, settings):
        return Traits(opens=(Opens(kind="model", format=self.formats, gives=("generate", "loglikelihood")),))

    def overhead(self, model, m):
        return costs.eager_overhead(model, m)

    def serving(self, settings, profile, artifact, load: Load):
        m = costs.machine(profile, "serving")
        precision = artifact.facets.get("precision", "bf16")
        size = costs.model_bytes(artifact, precision)
        overhead = self.overhead(artifact, m)
        writing = costs.decode_seconds(artifact, load.new_tokens, m, size, overhead)
        reading = costs.prefill_seconds(artifact, load.prompt_tokens, m, precision)
        cache = costs.kv_cache_bytes(artifact, load.prompt_tokens + load.new_tokens, load.concurrency)
        return Estimate(
            {"latency_seconds": reading + writing, "tokens_per_second": load.new_tokens / writing,
             "peak_bytes": 1.1 * size + cache + (0.4e9 if overhead else 0.1e9)}
        )  # fmt: skip


class PaperGguf(PaperEager):
    name = "runtime/papergguf"
    formats = "gguf"

    def traits(self, settings):
        return replace(super().traits(settings), processor=True)

    def overhead(self, model, m):
        return 0.0


@hookimpl
def kistack_register_sources():
    return [PaperSource]


@hookimpl
def kistack_register_retrievers():
    return [PaperRetrieve]


@hookimpl
def kistack_register_tuners():
    return [PaperTune]


@hookimpl
def kistack_register_distillers():
    return [PaperDistill]


@hookimpl
def kistack_register_quantizers():
    return [PaperQuantize]


@hookimpl
def kistack_register_stages():
    return [PaperMerge]


@hookimpl
def kistack_register_runtimes():
    return [PaperEager, PaperGguf]
