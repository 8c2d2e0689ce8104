"""A toy quantizer and its runtime that live in an environment of their own, and misbehave where they are told to."""

import os
import signal
import sys
import time
from pathlib import Path

import toys

from kistack.domain.records import Estimate
from kistack.errors import ModelError
from kistack.plugins.environments import Environment
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.sessions import LogLikelihood
from kistack.plugins.stages import Opens, Out, Port, Settings, Stage, Traits

APART = Environment("apart", Path(__file__).with_name("apart.lock"), ("toys",))


class ApartQuantize(toys.ToyQuantize):
    """Where an index is at hand it also asks it, which lies in the environment of whoever indexed."""

    name = "quantize/apart"
    summary = "a toy model in eight bits, from an environment of its own"
    libraries = ("pydantic",)

    def traits(self, settings):
        return Traits(
            consumes={
                **super().traits(settings).consumes,
                "index": Port(kind="index", opened=True, gives=("search",), optional=True),
            },
            produces={"model": Out(kind="model", like="model", format="toy-apart", set={"precision": "int8"})},
            packages=("pydantic",),
            environment=APART,
        )

    def run(self, settings, ctx):
        found = ctx.open("index").search(["Product1"])[0] if ctx.inputs("index") else []
        model = {**toys.read_model(ctx.input("model").path), "bits": 8, "made_in": sys.prefix}
        return {"model": toys.write_model(ctx.out("model"), {**model, "found": [p.document for p in found]})}


class ApartSession(toys.ToySession):
    """Does what the last message says, if it is one of its methods' names."""

    def generate(self, prompts, *, max_new_tokens, batch=0, on_done=None):
        for prompt in prompts:
            getattr(self, prompt[-1]["content"], lambda: None)()
        return super().generate(prompts, max_new_tokens=max_new_tokens, batch=batch, on_done=on_done)

    def stream(self, prompt, *, max_new_tokens):
        for n in range(max_new_tokens):
            self.told = n
            yield f"{n} "
            if prompt[-1]["content"] == "slowly":
                time.sleep(0.01)

    def loglikelihood(self, items):
        return [LogLikelihood(-float(len(text)), len(context)) for context, text in items]

    def where(self):
        self.model["knows"]["where"] = sys.prefix

    def how_far(self):
        self.model["knows"]["how_far"] = str(self.told)

    def say(self):
        print("a library's words")
        os.write(1, b"from below python\n")

    def fail(self):
        raise ValueError("no such token\nand more")

    def refuse(self):
        raise ModelError("a prompt of 9 tokens does not fit", "ask less")

    def vanish(self):
        os.write(2, b"the library gave up\n")
        os._exit(7)

    def killed(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def hang(self):
        time.sleep(60)

    def close(self):
        if "close_into" in self.model:
            Path(self.model["close_into"]).write_text("closed")


class ApartRuntime(toys.ToyRuntime):
    name = "runtime/apart"
    summary = "opens toy models in an environment of its own"

    def traits(self, settings):
        gives = ("generate", "stream", "loglikelihood")
        opens = (Opens(kind="model", format="toy-apart", gives=gives),)
        return Traits(opens=opens, packages=("pydantic",), environment=APART)

    def open(self, settings, artifact, parts):
        return ApartSession(toys.read_model(artifact.path))


class ApartProfile(Stage):
    """Measures which Python a profiler runs in."""

    name = "profile/apart"
    libraries = ("pydantic",)

    def traits(self, settings):
        return Traits(produces={"hardware": Out(kind="facts", format="json")}, environment=APART)

    def estimate(self, settings, profile, inputs):
        return Estimate({"seconds": 0.1}, {"hardware": {"apart": 1.0, "bytes": 1.0}})

    def run(self, settings, ctx):
        (ctx.out("hardware") / "note").write_text("x")
        return {"hardware": {"apart": float("environments" in sys.prefix), "bytes": 1.0}}


class FromElsewhereSettings(Settings):
    """It must be told what to fetch."""

    reference: str


class ApartSource(Stage):
    """A source that says nothing of itself without a reference."""

    name = "source/apart"
    Settings = FromElsewhereSettings

    def traits(self, settings):
        return Traits(produces={"model": Out(kind="model", format="toy")}, environment=APART)

    def estimate(self, settings, profile, inputs):
        return Estimate()


@hookimpl
def kistack_register_environments():
    return [APART]


@hookimpl
def kistack_register_quantizers():
    return [ApartQuantize]


@hookimpl
def kistack_register_runtimes():
    return [ApartRuntime]


@hookimpl
def kistack_register_profilers():
    return [ApartProfile]


@hookimpl
def kistack_register_sources():
    return [ApartSource]
