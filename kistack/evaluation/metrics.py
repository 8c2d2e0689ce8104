"""The metrics that installed evaluators give: the one that decides must be among them."""

from __future__ import annotations

import difflib
import re

from kistack.domain.scenario import Scenario
from kistack.domain.yamlfile import load_yaml
from kistack.errors import InvalidInput, Problem, ScenarioError
from kistack.plugins.host import Host

#: What every run measures of every system, whatever is installed.
_OWN = ("bytes", "peak_bytes")
_CUTOFF = re.compile(r"@[1-9]\d*$")
_PLACE = ("task", "metric")


def known_metrics(host: Host) -> tuple[str, ...]:
    """All metrics that the installed evaluators give under their default settings.

    Empty where that cannot be known: there is no evaluator, or one does not say what it gives or needs settings for it.
    """
    named = [stage.name for stage in host.stages_of("evaluate")]
    if not set(named) <= {stage.name for stage in host.defaulting()}:
        return ()
    given = [host.traits(name).metrics for name in named]
    if not given or not all(given):
        return ()
    return tuple(dict.fromkeys([*(metric for metrics in given for metric in metrics), *_OWN]))


def check_metric(metric: str, host: Host, scenario: Scenario | None = None) -> None:
    """Refuse a metric that nothing installed gives, wherever that can be known.

    A metric at another cutoff than the default ones (``recall@7``) is taken: a plan may set it.

    Args:
        metric: its name.
        host: what is installed.
        scenario: the scenario that names it, if it does; the message then says where in its file.

    Raises:
        InvalidInput: no installed evaluator gives it; a ScenarioError where the scenario's file says so.
    """
    known = known_metrics(host)
    if not known or _stem(metric) in {_stem(name) for name in known}:
        return
    close = difflib.get_close_matches(metric, known, n=3, cutoff=0.5)
    families = {_stem(name): name for name in reversed(known)}.values()
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(families))}"
    problem = Problem("", f"task.metric: no installed evaluator gives {metric!r}", hint)
    if scenario is None or scenario.file is None:
        raise InvalidInput("the scenario", [problem])
    _, positions = load_yaml(scenario.file, collect=True)
    where = positions.where(_PLACE)
    raise ScenarioError(str(scenario.file), [Problem(where, problem.message, problem.hint)])


def _stem(metric: str) -> str:
    return _CUTOFF.sub("@1", metric)
