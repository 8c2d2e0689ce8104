"""Stages that do little, and do it wrong in every way that a plugin can."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from kistack.composition.pipeline import Given, Node, Pipeline, Ref
from kistack.domain.artifacts import Opener, Type
from kistack.domain.plan import Plan
from kistack.domain.records import Estimate
from kistack.errors import DataError
from kistack.plugins.stages import Opens, Out, Port, Settings, Stage, Traits


class Words(Settings):
    text: str = ""
    number: float = 0.0
    fact: float = 1.0
    gate: str = ""


class Write(Stage):
    """Writes a text in ten pieces, each a checkpoint; where there is a gate, waits after three until it is removed."""

    name = "chore/write"
    Settings = Words

    def traits(self, settings):
        return Traits(
            consumes={"text": Port(kind="text", optional=True)}, produces={"text": Out(kind="text", format="txt")}
        )

    def run(self, settings, ctx):
        marker = ctx.scratch / "checkpoint"
        done = int(marker.read_text()) if marker.exists() else 0
        for n in range(done, 10):
            fresh = ctx.scratch / "new"
            fresh.write_text(str(n + 1))
            fresh.replace(marker)
            ctx.progress(n + 1, 10, "pieces", loss=1 / (n + 1))
            if n == 2 and settings.gate:
                ctx.log("at the gate")
                end = time.monotonic() + 60
                while Path(settings.gate).exists() and time.monotonic() < end:
                    time.sleep(0.01)
        before = "".join((a.path / "text").read_text() for a in ctx.inputs("text"))
        (ctx.out("text") / "text").write_text(f"{before}{settings.text}|{ctx.seed}")
        ctx.log(f"wrote after {done}")
        return {"text": {"count": settings.fact}}


class Adapter(Stage):
    """Leaves something that needs its input to travel with it."""

    name = "chore/adapter"

    def traits(self, settings):
        return Traits(
            consumes={"base": Port(kind="text")},
            produces={"text": Out(kind="text", like="base", format="txt+adapter", requires=("base",))},
        )

    def run(self, settings, ctx):
        (ctx.out("text") / "delta").write_text("delta")
        return {"text": {}}


class Reader(Stage):
    """Opens texts."""

    name = "runtime/reader"
    Settings = Words

    def traits(self, settings):
        return Traits(opens=(Opens(kind="text", format="txt|txt+adapter", gives=("generate",)),))

    def open(self, settings, artifact, parts):
        if artifact.format == "txt":
            text = (artifact.path / "text").read_text()
        else:
            text = (parts["base"].path / "text").read_text() + "+" + (artifact.path / "delta").read_text()
        path = Path(settings.text) if settings.text else None

        def close():
            if path:
                path.write_text("closed")
            if settings.number:
                raise RuntimeError("cannot close")

        return SimpleNamespace(text=text, close=close)


class Use(Stage):
    """Opens its input."""

    name = "chore/use"

    def traits(self, settings):
        return Traits(consumes={"model": Port(kind="text", opened=True)}, produces={"seen": Out(kind="text")})

    def run(self, settings, ctx):
        assert ctx.open("model") is ctx.open("model")
        (ctx.out("seen") / "text").write_text(ctx.open("model").text)
        return {"seen": {}}


class Misbehave(Stage):
    """Does what ``text`` says."""

    name = "chore/misbehave"
    Settings = Words

    def traits(self, settings):
        return Traits(produces={"text": Out(kind="text")})

    def run(self, settings, ctx):
        (ctx.out("text") / "text").write_text("x")
        returned = getattr(self, settings.text)(ctx, settings)
        return {"text": {}} if returned is None else returned

    def say(self, ctx, settings):
        print("on standard output")
        print("on standard error", file=sys.stderr)
        os.write(1, b"below python\n")
        subprocess.run(["echo", "from a child"], check=True)
        assert sys.stdin.read() == ""

    def stop(self, ctx, settings):
        raise ValueError("first line\nsecond line")

    def refuse(self, ctx, settings):
        raise DataError("pairs hold no answers", "add answers")

    def exit(self, ctx, settings):
        sys.exit(3)

    def vanish(self, ctx, settings):
        os._exit(7)

    def crash(self, ctx, settings):
        os.kill(os.getpid(), signal.SIGSEGV)

    def killed(self, ctx, settings):
        os.kill(os.getpid(), signal.SIGKILL)

    def interrupted(self, ctx, settings):
        raise KeyboardInterrupt

    def memory(self, ctx, settings):
        raise MemoryError("no room for 7 GB")

    def fork(self, ctx, settings):
        if os.fork() == 0:
            return
        os.wait()

    def orphan(self, ctx, settings):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (ctx.scratch / "child").write_text(str(child.pid))
        ctx.log(f"child {child.pid}")
        if settings.number:
            time.sleep(settings.number)

    def hang(self, ctx, settings):
        time.sleep(600)

    def spin(self, ctx, settings):
        end = time.monotonic() + settings.number
        while time.monotonic() < end:
            pass

    def deaf(self, ctx, settings):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ctx.log("deaf now")
        time.sleep(600)

    def full(self, ctx, settings):
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x" * 100)

    def eat(self, ctx, settings):
        block = bytearray(int(settings.number))
        block[::4096] = b"x" * len(block[::4096])

    def child_eats(self, ctx, settings):
        code = f"import time; b = bytearray({int(settings.number)}); b[::4096] = b'x' * len(b[::4096]); time.sleep(1.5)"
        subprocess.run([sys.executable, "-c", code], check=True)

    def bad_fact(self, ctx, settings):
        return {"text": {"count": float("nan")}}

    def text_fact(self, ctx, settings):
        return {"text": {"count": "many"}}

    def no_facts(self, ctx, settings):
        return 3

    def other_output(self, ctx, settings):
        return {"weights": {}}

    def unknown_folder(self, ctx, settings):
        ctx.out("weights")

    def unknown_port(self, ctx, settings):
        ctx.open("index")

    def empty(self, ctx, settings):
        (ctx.out("text") / "text").unlink()

    def environment(self, ctx, settings):
        names = ("OMP_NUM_THREADS", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM", "PYTHONHASHSEED")
        (ctx.out("text") / "text").write_text(" ".join(f"{n}={os.environ.get(n, '')}" for n in names))
        (ctx.out("text") / "pid").write_text(str(os.getpid()))
        (ctx.out("text") / "torch").write_text(str([m for m in ("torch", "transformers") if m in sys.modules]))


class Heavy(Misbehave):
    """The same with a library of its own."""

    name = "chore/heavy"
    libraries = ("numpy",)


class Online(Misbehave):
    """The same with a network."""

    name = "chore/online"

    def traits(self, settings):
        return Traits(produces={"text": Out(kind="text")}, network=True)


class Paired(Write):
    """Reads two many-slots and says what it got."""

    name = "chore/paired"

    def traits(self, settings):
        return Traits(consumes={"text": Port(kind="text", many=True)}, produces={"text": Out(kind="text", like="text")})


def node(stage, key, settings=None, inputs=None, *, openers=None, costs=None, made=100.0, plugin="chores", **more):
    """A node as the composer would make it; ``inputs`` map ports to (source, type) pairs."""
    settings = stage.Settings() if settings is None else settings
    traits = more.pop("traits", None) or stage.traits(settings)
    bound = {port: found if isinstance(found, list) else [found] for port, found in (inputs or {}).items()}
    types = {port: tuple(virtual for _, virtual in found) for port, found in bound.items()}
    outputs = {}
    for name, out in traits.produces.items():
        needs = tuple(t.identity for port in out.requires for t in types[port])
        outputs[name] = Type(out.kind, out.format, {"content": "answers"}, {}, f"{key}/{name}", needs)
    return Node(
        key=key,
        stage=stage,
        settings=settings,
        plugin=plugin,
        traits=traits,
        inputs={port: tuple(source for source, _ in found) for port, found in bound.items()},
        types=types,
        openers={p: Opener(n, s) for p, (n, s) in (openers or {}).items()},
        outputs=outputs,
        estimate=Estimate(costs or {"seconds": 1.0}, {name: {"bytes": made} for name in traits.produces}),
        **more,
    )


def of(made, out="text"):
    """The output of a node, as an input."""
    return (Ref(made.key, out), made.outputs[out])


def given(slot, identity, kind="text", fmt="txt"):
    """A scenario input."""
    found = Type(kind, fmt, {}, {}, identity)
    return (Given(slot, found), found)


def pipeline(*nodes):
    return Pipeline(Plan(), tuple(nodes), {}, {}, {}, {}, Estimate())
