"""What a plugin declares: its registration, its import, the class itself."""

from __future__ import annotations

import copy

from kistack.composition.keys import library_version
from kistack.errors import PluginError
from kistack.plugins import API_VERSION
from kistack.plugins.loading import API_ATTRIBUTE, api_fault
from kistack.testing.findings import Fault, Skip, check
from kistack.testing.probing import probe_lightness
from kistack.testing.subject import Subject

#: What importing ``hooks.py`` may add to every start of kistack, in seconds of wall clock.
IMPORT_SECONDS = 1.0
#: Letters of a summary that fit a line of the wizard.
LONGEST_SUMMARY = 120
_TRIES = 3


@check("registered", "is registered by its plugin's hook, alone, under its name, and without a problem")
def registered(subject: Subject) -> None:
    """A host with the core and this plugin only must have the stage and nothing to complain about.

    A misspelt hook, a wrong class, a name of another kind or a stage that cannot be created show here.
    """
    if subject.plugin is None:
        raise Fault(
            f"no installed plugin registers {subject.name}",
            "install the package (pip install -e .), or check_stage(…, plugin=hooks)",
        )
    mine = [p for p in subject.alone.problems if f"plugin {subject.plugin.name}:" in p or subject.name in p]
    if mine:
        raise Fault(mine[0], "mend what the line says")
    if subject.name not in subject.alone.stages:
        raise Fault(
            f"plugin {subject.plugin.name} does not register {subject.name}",
            f"return {type(subject.stage).__name__} from a registration hook",
        )
    if type(subject.alone.stages[subject.name].stage) is not type(subject.stage):
        raise Fault(f"{subject.name} is registered as another class", "check the class that the hook returns")


@check("own-name", "has a name that no other installed plugin claims")
def own_name(subject: Subject) -> None:
    """Loaded beside everything that is installed, the name must not clash: a plan could not use it."""
    if subject.name in subject.host.clashes:
        who = " and ".join(subject.host.clashes[subject.name])
        raise Fault(f"{subject.name} is claimed by {who}", "give the stage a name of its own")


@check("api-version", "is written against a version of the plugin API that this kistack keeps")
def api_version(subject: Subject) -> None:
    """``KISTACK_API`` of the hooks module, where it is declared, must be compatible."""
    if subject.plugin is None:
        raise Skip("no plugin registers it")
    if fault := api_fault(getattr(subject.plugin.object, API_ATTRIBUTE, None)):
        raise Fault(fault, f"test against it, then declare {API_ATTRIBUTE} = {API_VERSION!r}")


@check("found-by-workers", "is a class at the top level of a module that can be imported")
def found_by_workers(subject: Subject) -> None:
    """A worker finds the class by ``module:Class``; one made in a function cannot run."""
    try:
        reference = subject.reference
    except PluginError as error:
        raise Fault(error.message, error.hint) from error
    said = str(subject.light.get("error", ""))
    if "cannot be imported" in said:
        raise Fault(f"{reference}: {said}", "make the package importable in a fresh process")


@check("light-import", "comes from hooks that import nothing heavy and take under a second")
def light_import(subject: Subject) -> None:
    """The hooks are imported in a fresh process: every command of kistack waits for them.

    What counts is what they load beside kistack itself, and the quickest of three tries.
    """
    found = subject.light
    if "import_heavy" not in found:
        raise Fault(
            f"its hooks cannot be imported in a fresh process: {found['error']}", "see that the import ends and works"
        )
    if found["import_heavy"]:
        raise Fault(
            f"importing its hooks loads {', '.join(found['import_heavy'])}",
            "import it inside run or open, where it is used",
        )
    seconds, tries = found["import_seconds"], 1
    module = subject.plugin.module if subject.plugin else type(subject.stage).__module__
    while seconds > IMPORT_SECONDS and tries < _TRIES:
        seconds = min(seconds, probe_lightness(subject.root, [module], {"stage": ""}).get("import_seconds", seconds))
        tries += 1
    if seconds > IMPORT_SECONDS:
        raise Fault(
            f"importing its hooks takes {seconds:.1f} s", "import less at the top of the modules that hooks import"
        )


@check("quiet", "prints nothing to standard output when it is imported, asked or opened")
def quiet(subject: Subject) -> None:
    """Standard output is the result of a command: one line more and its JSON cannot be read.

    In ``run`` it goes to the step's log; ``ctx.log`` is the way to say something there.
    """
    if subject.light["stdout"]:
        raise Fault(
            f"it prints {_first(subject.light['stdout'])!r} when imported or asked", "use ctx.log, or say nothing"
        )
    if subject.traits.opens:
        for form, found in subject.opened.items():
            if found["stdout"]:
                raise Fault(f"opening {form} prints {_first(found['stdout'])!r}", "say nothing on standard output")
    if subject.runs and subject.first.stdout:
        raise Fault(f"run prints {_first(subject.first.stdout)!r}", "use ctx.log")


def _first(text: str) -> str:
    return text.strip().splitlines()[0][:80] if text.strip() else text[:80]


@check("described", "says in a summary and a docstring what it is")
def described(subject: Subject) -> None:
    """``summary`` is shown in lists and in the wizard, the docstring is read by whoever maintains it."""
    cls = type(subject.stage)
    if not subject.stage.summary.strip():
        raise Fault("it has no summary", "set summary to half a line that says what it makes")
    if "\n" in subject.stage.summary or len(subject.stage.summary) > LONGEST_SUMMARY:
        raise Fault("its summary is longer than a line", f"keep summary under {LONGEST_SUMMARY} characters")
    if not (cls.__dict__.get("__doc__") or "").strip():
        raise Fault(f"{cls.__name__} has no docstring", "say what it does, and where the method comes from")


@check("versioned", "states its version, and the installed distributions that decide its bytes")
def versioned(subject: Subject) -> None:
    """Version and ``libraries`` enter the key of every result; a name that is not installed enters as nothing."""
    if not (isinstance(subject.stage.version, str) and subject.stage.version):
        raise Fault(f"its version is {subject.stage.version!r}", "version is a text that is raised when results change")
    if isinstance(subject.stage.libraries, str):
        raise Fault("its libraries are one text", "libraries is a tuple of names of distributions")
    subject.need_environment()
    for library in subject.stage.libraries:
        if not library_version(library, subject.environment):
            raise Fault(
                f"its library {library!r} is not an installed distribution", "name it as pip does, and depend on it"
            )


@check("stateless", "keeps nothing on itself between calls")
def stateless(subject: Subject) -> None:
    """One instance serves all steps of a process, and workers make their own: what is kept is lost or mixed up."""
    before = copy.copy(vars(subject.stage))
    subject.calls  # noqa: B018 - calls the methods
    if vars(subject.stage) != before:
        changed = sorted(set(vars(subject.stage)) ^ set(before)) or sorted(vars(subject.stage))
        raise Fault(f"it keeps {', '.join(changed)} on itself", "pass values on, or keep them in ctx.scratch")
