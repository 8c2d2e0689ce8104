"""The runs: what is read stays as it was, what is written is whole, and the same again."""

from __future__ import annotations

import math
import re

from kistack.execution.events import Progress
from kistack.storage.hashing import digest_of, survey, walk
from kistack.testing.findings import Fault, Skip, check
from kistack.testing.specimens import bytes_of
from kistack.testing.subject import LONGEST_SECONDS, Subject
from kistack.testing.trial import Tried

#: A run that takes longer says how far it is.
_SILENT_SECONDS = 20.0
#: Shares of the time of a run after which it is killed, until one comes before its end.
_KILLED_AT = (0.6, 0.25)
_LEFTOVERS = re.compile(r"(\.tmp|\.temp|\.part|\.partial|\.new|\.bak|\.swp|\.lock|\.incomplete|~)$|^(tmp|\.nfs)")
_PICKLES = re.compile(r"\.(pkl|pickle|pt|pth|joblib|ckpt)$")
#: A file of that name may hold anything; the archives of pickles that torch wrote there begin like this.
_ARCHIVED = (".bin", b"PK")
#: First bytes of pickles of protocols 2 to 5, and how those that torch saves begin.
_PICKLE_STARTS = tuple(bytes([0x80, n]) for n in range(2, 6))


@check("inputs", "reads what is installed here, or what the test gives it")
def inputs(subject: Subject) -> None:
    """Every port is filled with a tiny artifact of the kind and format that it asks for."""
    subject.given  # noqa: B018 - makes them


@check("runs", "does its work on tiny inputs")
def runs(subject: Subject) -> None:
    """One run in a worker process, as a plan would start it; an error is the stage's own words."""
    if not subject.runs:
        raise Skip("it only opens")
    if subject.first.error:
        raise Fault(subject.first.error, f"the log is in {subject.first.log}")


@check("ends", "ends by itself")
def ends(subject: Subject) -> None:
    """A run on tiny inputs that goes on for minutes hangs."""
    if subject.runs and "had not ended" in subject.first.ended:
        raise Fault(f"run hangs: {subject.first.ended}", f"bound every wait; {LONGEST_SECONDS:.0f} s were given")


@check("outputs-as-declared", "returns the facts of every output as finite numbers, and their true sizes")
def outputs_as_declared(subject: Subject) -> None:
    """Facts decide what later steps may do; the bytes stated must be the bytes on disk (a tenth and 1 kB may differ).

    Every output that the traits name has files; NaN is no fact.
    """
    if not subject.runs:
        raise Skip("it only opens")
    error = subject.first.error
    if re.search(r"facts|output .* empty|must return|no output of it", error):
        raise Fault(error, "write every output, and return {name: {'bytes': …}} with finite numbers")
    outcome = subject.done.outcome
    assert outcome is not None
    for name in subject.traits.produces:
        facts = outcome.facts.get(name, {})
        size = bytes_of(subject.done.outs[name])
        if "bytes" in facts and abs(facts["bytes"] - size) > 0.1 * size + 1024:
            raise Fault(f"{name}: it says {facts['bytes']:.0f} bytes, {size} lie there", "count what was written")


@check("inputs-untouched", "leaves the files of its inputs as they were")
def inputs_untouched(subject: Subject) -> None:
    """Inputs are kept under the digest of their bytes and shared by other steps: digests must stay as they are."""
    if not subject.runs:
        raise Skip("it only opens")
    subject.first  # noqa: B018 - runs it
    now = subject.digests()
    for port, before in subject.before.items():
        if now[port] != before:
            raise Fault(f"it changes the files at port {port!r}", "copy what you change into an output or ctx.scratch")


@check("keeps-to-its-folders", "writes nowhere but into its outputs and its scratch")
def keeps_to_its_folders(subject: Subject) -> None:
    """Nothing may lie in the folder it was started in, nor among temporary files, when it has ended."""
    tried = subject.done
    if tried.cwd:
        raise Fault(f"it leaves {tried.cwd[0]} in the current folder", "write to ctx.out(…) or ctx.scratch")
    if tried.temporary:
        raise Fault(f"it leaves {tried.temporary[0]} among temporary files", "use ctx.scratch: it is removed for you")


@check("no-leftovers", "leaves whole files only")
def no_leftovers(subject: Subject) -> None:
    """An output becomes an artifact as it is: no half-written, temporary or empty file may be in it."""
    for name in subject.traits.produces:
        for path, file in walk(subject.done.outs[name]):
            if _LEFTOVERS.search(path.rpartition("/")[2]):
                raise Fault(f"{name}: {path} looks half-written", "write beside the place and rename, or remove it")
            if file.stat().st_size == 0 and not path.endswith("__init__.py"):
                raise Fault(f"{name}: {path} is empty", "write it, or leave it out")


@check("no-pickle", "neither loads nor leaves pickles")
def no_pickle(subject: Subject) -> None:
    """Unpickling runs code of whoever wrote the file. Weights are safetensors or a runtime's own format."""
    for name in subject.traits.produces:
        for path, file in walk(subject.done.outs[name]):
            with file.open("rb") as opened:
                start = opened.read(2)
            archived = path.endswith(_ARCHIVED[0]) and start == _ARCHIVED[1]
            if _PICKLES.search(path) or archived or start in _PICKLE_STARTS:
                raise Fault(f"{name}: {path} is a pickle", "write safetensors, JSON or your runtime's own format")
    if subject.done.pickles:
        raise Fault(f"it unpickles {subject.done.pickles[0]}", "read safetensors, JSON or your runtime's own format")


@check("no-network", "talks to no other machine unless its traits say network=True")
def no_network(subject: Subject) -> None:
    """Connections and look-ups of the Python process are noted while it runs and while it is opened.

    Libraries that open sockets in native code are not seen.
    """
    if subject.traits.network:
        raise Skip("its traits say network=True")
    noted = [*(subject.first.network if subject.runs else ())]
    if subject.traits.opens:
        noted += [n for found in subject.opened.values() for n in found["network"]]
    if noted:
        raise Fault(f"it uses the network: {noted[0]}", "work from local files, or declare Traits(network=True)")


@check("no-processes-left", "leaves no process behind")
def no_processes_left(subject: Subject) -> None:
    """What it starts must have ended when it has; a forked process must not come back out of ``run``."""
    tried = [subject.first] if subject.runs else []
    if any(t.stray for t in tried):
        raise Fault(
            "a process that it forked comes back out of run", "end a forked child with os._exit, or use subprocess"
        )
    left = [name for t in tried for name in t.left]
    if subject.traits.opens:
        left += [name for found in subject.opened.values() for name in found["left"]]
    if left:
        raise Fault(f"it leaves a process running: {left[0]}", "wait for what you start, or end it")


@check("progress", "tells how far it is, in finite numbers that end at their total")
def progress(subject: Subject) -> None:
    """Progress is what the user sees of a long run: it must not exceed its total, and a long run must tell some."""
    tried = subject.done
    told = [e for e in tried.events if isinstance(e, Progress)]
    assert tried.outcome is not None
    seconds = tried.outcome.measured["seconds"]
    if not told and seconds > _SILENT_SECONDS:
        raise Fault(f"it says nothing in {seconds:.0f} s", "call ctx.progress(done, total) as it goes")
    for event in told:
        numbers = (event.done, event.total, *event.numbers.values())
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            raise Fault(
                "its progress has a number that is none (NaN or infinite)", "end training whose loss is no number"
            )
        if event.done > event.total:
            raise Fault(f"it is {event.done:g} of {event.total:g} done", "count what there is to do")


@check("same-again", "leaves the same bytes from the same seed, or says deterministic=False")
def same_again(subject: Subject) -> None:
    """A second run in another process, same inputs and seed: digests of all outputs are compared."""
    if not subject.traits.deterministic:
        raise Skip("its traits say deterministic=False")
    if not subject.runs:
        raise Skip("it only opens")
    _must_equal(
        subject, subject.later["again"], "a second run", "seed every generator from ctx.seed, sort what has no order"
    )


@check("seed-honest", "depends on the seed only if it says seeded=True")
def seed_honest(subject: Subject) -> None:
    """A seed that is not in the key must not change the result: a run with another seed is compared."""
    if subject.traits.seeded or not subject.traits.deterministic:
        raise Skip("its traits say seeded=True" if subject.traits.seeded else "its traits say deterministic=False")
    if not subject.runs:
        raise Skip("it only opens")
    _must_equal(subject, subject.later["other"], "a run with another seed", "declare Traits(seeded=True)")


@check("resumes", "goes on after kill -9 and ends as if nothing had happened")
def resumes(subject: Subject) -> None:
    """It is killed in the middle of its work and started again with the scratch that it left.

    It must finish, and, if it is deterministic, with the bytes of a run that was never stopped.
    """
    outcome = subject.done.outcome
    assert outcome is not None
    again = subject.later["again"].outcome
    seconds = min(outcome.measured["seconds"], again.measured.get("seconds", math.inf) if again else math.inf)
    for share in _KILLED_AT:
        [killed] = subject.attempt(subject.asked("killed", scratch=f"resumed-{share}"), die=share * seconds)
        if killed.outcome is None:
            break
    else:
        raise Skip(f"it was done in {seconds:.2g} s, before it could be killed")
    [resumed] = subject.attempt(subject.asked("resumed", scratch=f"resumed-{share}"))
    if resumed.error:
        raise Fault(f"after a kill it fails: {resumed.error}", "write checkpoints beside their place, then rename them")
    if subject.traits.deterministic:
        _must_equal(
            subject, resumed, "a run that was killed and resumed", "keep all state in checkpoints, generators too"
        )


def _must_equal(subject: Subject, other: Tried, what: str, remedy: str) -> None:
    if other.error:
        raise Fault(f"{what} fails: {other.error}", remedy)
    for name in subject.traits.produces:
        one, two = survey(subject.done.outs[name]), survey(other.outs[name])
        if digest_of(one) != digest_of(two):
            files = {e.path: e.sha256 for e in one}
            changed = [e.path for e in two if files.get(e.path) != e.sha256] or sorted(files)
            raise Fault(f"{what} leaves another {name}: {changed[0]} differs", remedy)
