"""Retrievers that each go wrong in one way when they are asked, run or opened."""

import os
import pickle
import random
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

from pydantic import Field

from bad.sound import Sound, SoundIndex, SoundSettings
from kistack.domain.records import Estimate
from kistack.plugins.builtins import read_jsonl
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Out, Traits


class WrongKind(Sound):
    """Promises pairs and writes its index into them."""

    name = "retrieve/wrong-kind"

    def traits(self, settings):
        sound = super().traits(settings)
        pairs = Out(kind="pairs", format="jsonl", set={"passages": "without"})
        return Traits(consumes=sound.consumes, produces={"index": pairs}, needs=sound.needs)


class Mutating(Sound):
    """Sorts the documents where they lie."""

    name = "retrieve/mutating"

    def run(self, settings, ctx):
        file = ctx.input("corpus").path / "corpus.jsonl"
        file.write_text("".join(sorted(file.read_text().splitlines(keepends=True), reverse=True)))
        return super().run(settings, ctx)


class Undetermined(Sound):
    """Writes a random number into its index."""

    name = "retrieve/undetermined"

    def run(self, settings, ctx):
        made = super().run(settings, ctx)
        (ctx.out("index") / "id").write_text(str(uuid.uuid4()))
        return made


class SecretlySeeded(Sound):
    """Shuffles by the seed and does not say so."""

    name = "retrieve/secretly-seeded"

    def run(self, settings, ctx):
        made = super().run(settings, ctx)
        order = list(range(1000))
        random.Random(ctx.seed).shuffle(order)
        (ctx.out("index") / "order").write_text(str(order))
        return made


class LyingMemory(Sound):
    """Takes half a gigabyte more than it says."""

    name = "retrieve/lying-memory"

    def run(self, settings, ctx):
        ballast = bytearray(500 << 20)
        ballast[:: 1 << 12] = b"x" * len(ballast[:: 1 << 12])
        return super().run(settings, ctx)


class LyingTime(Sound):
    """Says an hour and takes a moment."""

    name = "retrieve/lying-time"

    def estimate(self, settings, profile, inputs):
        sound = super().estimate(settings, profile, inputs)
        return Estimate({**sound.costs, "seconds": 3600.0}, sound.facts)


class LyingBytes(Sound):
    """Says a gigabyte and leaves a few kilobytes."""

    name = "retrieve/lying-bytes"

    def estimate(self, settings, profile, inputs):
        sound = super().estimate(settings, profile, inputs)
        return Estimate(sound.costs, {"index": {**sound.facts["index"], "bytes": 1e9}})


class Calling(Sound):
    """Tells somebody that it runs."""

    name = "retrieve/calling"

    def run(self, settings, ctx):
        made = super().run(settings, ctx)
        try:
            socket.create_connection(("127.0.0.1", 9), timeout=1).close()
        except OSError:
            ctx.log("nobody listens")
        return made


class NotANumber(Sound):
    """Counts NaN documents."""

    name = "retrieve/not-a-number"

    def run(self, settings, ctx):
        made = super().run(settings, ctx)
        return {"index": {**made["index"], "count": float("nan")}}


class NanScores(Sound):
    """Scores passages with NaN."""

    name = "retrieve/nan-scores"

    def open(self, settings, artifact, parts):
        class Index(SoundIndex):
            def search(self, queries):
                found = super().search(queries)
                return [[type(p)(p.id, p.text, p.document, p.title, float("nan")) for p in some] for some in found]

        return Index(list(read_jsonl(artifact.path / "documents.jsonl")), settings.top_k)


class HalfWritten(Sound):
    """Leaves a file it was writing."""

    name = "retrieve/half-written"

    def run(self, settings, ctx):
        made = super().run(settings, ctx)
        (ctx.out("index") / "documents.jsonl.tmp").write_text('{"id": "a", "te')
        return made


class Unresumable(Sound):
    """Fails where it finds what a killed run left."""

    name = "retrieve/unresumable"

    def run(self, settings, ctx):
        (ctx.scratch / "started").mkdir()
        for n in range(8):
            time.sleep(0.05)
            ctx.progress(n, 8, "naps")
        return super().run(settings, ctx)


class Scattering(Sound):
    """Writes into the current folder."""

    name = "retrieve/scattering"

    def run(self, settings, ctx):
        Path("cache.db").write_text("here")
        return super().run(settings, ctx)


class Forking(Sound):
    """Forks, and both go on."""

    name = "retrieve/forking"

    def run(self, settings, ctx):
        if os.fork() == 0:
            time.sleep(0.2)
            return {"index": {"bytes": 1.0}}
        return super().run(settings, ctx)


class Abandoning(Sound):
    """Starts a process and forgets it."""

    name = "retrieve/abandoning"

    def run(self, settings, ctx):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        return super().run(settings, ctx)


class Hanging(Sound):
    """Waits for ever."""

    name = "retrieve/hanging"

    def run(self, settings, ctx):
        while True:
            time.sleep(1)


class Pondering(Sound):
    """Never comes to an end with its estimate."""

    name = "retrieve/pondering"

    def estimate(self, settings, profile, inputs):
        while True:
            time.sleep(1)


class Pickling(Sound):
    """Keeps its index as a pickle."""

    name = "retrieve/pickling"

    def run(self, settings, ctx):
        made = super().run(settings, ctx)
        (ctx.out("index") / "index.dat").write_bytes(pickle.dumps({"a": 1}))
        return made


class Unpickling(Sound):
    """Reads a pickle, which may run anybody's code."""

    name = "retrieve/unpickling"

    def run(self, settings, ctx):
        made = super().run(settings, ctx)
        assert pickle.loads(pickle.dumps(SoundSettings)) is SoundSettings
        return made


class Swallowing(Sound):
    """Reports success whatever happens."""

    name = "retrieve/swallowing"

    def run(self, settings, ctx):
        try:
            return super().run(settings, ctx)
        except Exception:  # noqa: BLE001 - that is its fault
            (ctx.out("index") / "documents.jsonl").write_text("{}\n")
            return {"index": {"bytes": 3.0}}


class Dividing(Sound):
    """Divides by the number of documents, and does not say that it needs one."""

    name = "retrieve/dividing"

    def traits(self, settings):
        sound = super().traits(settings)
        return Traits(consumes=sound.consumes, produces=sound.produces, opens=sound.opens)

    def run(self, settings, ctx):
        made = super().run(settings, ctx)
        return {"index": {**made["index"], "passage_tokens": 1000 / made["index"]["count"]}}


class Overstating(Sound):
    """Says that it leaves twice what it does."""

    name = "retrieve/overstating"

    def run(self, settings, ctx):
        made = super().run(settings, ctx)
        return {"index": {**made["index"], "bytes": 2 * made["index"]["bytes"] + 9999}}


class Moody(Sound):
    """Estimates by the clock."""

    name = "retrieve/moody"

    def estimate(self, settings, profile, inputs):
        sound = super().estimate(settings, profile, inputs)
        return Estimate({**sound.costs, "seconds": time.monotonic()}, sound.facts)


class Heavy(Sound):
    """Needs scipy to say what it takes."""

    name = "retrieve/heavy"

    def estimate(self, settings, profile, inputs):
        import scipy.stats  # noqa: F401

        return super().estimate(settings, profile, inputs)


class Dawdling(Sound):
    """Thinks long before it says what it takes."""

    name = "retrieve/dawdling"

    def estimate(self, settings, profile, inputs):
        time.sleep(0.05)
        return super().estimate(settings, profile, inputs)


class Shrinking(Sound):
    """Expects less of more."""

    name = "retrieve/shrinking"

    def estimate(self, settings, profile, inputs):
        sound = super().estimate(settings, profile, inputs)
        return Estimate({**sound.costs, "seconds": 1e6 / inputs["corpus"].fact("bytes", 1)}, sound.facts)


class Demanding(Sound):
    """Cannot do without knowing the machine."""

    name = "retrieve/demanding"

    def estimate(self, settings, profile, inputs):
        assert profile["hardware.cores"].value
        return super().estimate(settings, profile, inputs)


class MuteSettings(SoundSettings):
    """A number about which nobody knows anything."""

    wait: float = 3.0


class Mute(Sound):
    """Does not say what its setting is."""

    name = "retrieve/mute"
    Settings = MuteSettings


class VagueSettings(SoundSettings):
    """A time in no unit."""

    timeout: float = Field(default=3.0, gt=0, description="how long to be patient")


class Vague(Sound):
    """Does not say in what it measures."""

    name = "retrieve/vague"
    Settings = VagueSettings


class Remembering(Sound):
    """Keeps what it was asked last."""

    name = "retrieve/remembering"

    def estimate(self, settings, profile, inputs):
        self.last = inputs
        return super().estimate(settings, profile, inputs)


class Unfinding(Sound):
    """Returns texts instead of passages."""

    name = "retrieve/unfinding"

    def open(self, settings, artifact, parts):
        class Index(SoundIndex):
            def search(self, queries):
                return [[p.text for p in some] for some in super().search(queries)]

        return Index(list(read_jsonl(artifact.path / "documents.jsonl")), settings.top_k)


ALL = [v for v in list(globals().values()) if isinstance(v, type) and issubclass(v, Sound) and v is not Sound]


@hookimpl
def kistack_register_retrievers():
    return ALL
