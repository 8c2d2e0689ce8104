"""What the wizard knows at one time; screens read it and change it, nothing else is shared between them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kistack.advisor.judging import Bench
    from kistack.bundle.workspace import Workspace
    from kistack.domain.advice import Recommendation
    from kistack.domain.facts import Fact, Profile
    from kistack.domain.plan import Plan
    from kistack.domain.scenario import Scenario
    from kistack.errors import KistackError
    from kistack.plugins.host import Host


@dataclass(slots=True)
class Session:
    """One sitting at the wizard.

    ``folder`` is where it was started and, once a project is open, that project's folder. ``saved`` is the scenario as
    its file states it, ``changes`` the keys that the user changed since, as text, and ``scenario`` both together;
    ``place`` works with it. ``facts`` are those known so far, ``profile`` all of them once they are,
    ``trouble`` why they, or the candidates, cannot be had. ``bench`` keeps
    the composed candidates under ``profile``. ``plan`` is the plan at hand and ``plan_file`` where it was written, if
    it was. ``commands`` are the shell commands that do the same without the wizard.
    """

    folder: Path
    host: Host | None = None
    place: Workspace | None = None
    saved: Scenario | None = None
    changes: dict[str, str] = field(default_factory=dict)
    scenario: Scenario | None = None
    facts: dict[str, Fact] = field(default_factory=dict)
    trouble: KistackError | None = None
    profile: Profile | None = None
    bench: Bench | None = None
    advice: Recommendation | None = None
    plan: Plan | None = None
    plan_file: Path | None = None
    run_dir: Path | None = None
    bundle: Path | None = None
    commands: list[str] = field(default_factory=list)
    #: Scenarios under changes that were asked for lately, each with what it is a change of.
    restated: dict[tuple[tuple[str, str], ...], tuple[Scenario, Scenario]] = field(default_factory=dict, repr=False)

    def did(self, *words: str | Path, project: bool = True) -> None:
        """Note a command that does what was just done; the last of equal ones stays.

        Args:
            words: the words after ``kistack``, such as ``"run", plan_file``.
            project: whether the command is told the project's folder.
        """
        told = ["kistack", *(str(w) for w in words)]
        if project:
            told += ["-C", str(self.folder)]
        line = shlex.join(told)
        if line in self.commands:
            self.commands.remove(line)
        self.commands.append(line)

    def use(self, place: Workspace) -> None:
        """Work with a project as its file states it.

        What was known of the one before is forgotten, but a plan of the same project stays.
        """
        if place.project.root != self.folder:
            self.plan = self.plan_file = self.run_dir = self.bundle = None
        self.folder = place.project.root
        self.place = place
        self.saved = self.scenario = place.scenario
        self.changes, self.facts = {}, {}
        self.profile = self.bench = self.advice = None
