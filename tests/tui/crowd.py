"""A session with two thousand candidates and a few, all composed: stages on paper that suggest six settings each."""

from advisor import onpaper
from advisor.onpaper import profile_of

from kistack.advisor import candidates, composing
from kistack.advisor.judging import Bench
from kistack.bundle.workspace import Workspace
from kistack.domain.scenario import Scenario
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.profiling.assembly import scenario_facts
from kistack.tui.goals import settle
from kistack.tui.session import Session


class Retrieve(onpaper.PaperRetrieve):
    def suggest(self, profile, inputs):
        return [onpaper.TopK(top_k=n) for n in (1, 2, 3, 4, 5, 8)]


class Tune(onpaper.PaperTune):
    def suggest(self, profile, inputs):
        return [onpaper.Rank(rank=n) for n in (4, 8, 16, 32, 64, 128)]


class Distill(onpaper.PaperDistill):
    def suggest(self, profile, inputs):
        return [onpaper.Student(keep=n) for n in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)]


class Quantize(onpaper.PaperQuantize):
    def suggest(self, profile, inputs):
        return [onpaper.Kind(kind=n) for n in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "fp16")]


class Crowd:
    """The stages on paper, each of the four techniques with six suggestions."""

    kistack_register_sources = staticmethod(onpaper.kistack_register_sources)
    kistack_register_stages = staticmethod(onpaper.kistack_register_stages)
    kistack_register_runtimes = staticmethod(onpaper.kistack_register_runtimes)

    @hookimpl
    def kistack_register_retrievers(self):
        return [Retrieve]

    @hookimpl
    def kistack_register_tuners(self):
        return [Tune]

    @hookimpl
    def kistack_register_distillers(self):
        return [Distill]

    @hookimpl
    def kistack_register_quantizers(self):
        return [Quantize]


def crowded_session(folder, monkeypatch):
    for module in (candidates, composing):
        monkeypatch.setattr(module, "MOST_PLANS", 2100)
    host = load_host(entry_points=False, extra={"crowd": Crowd()}, disabled=())
    scenario = Scenario(name="crowd", models={"base": "paper:135m"})
    session = Session(folder, host=host)
    session.use(Workspace(scenario, host=host))
    # As a project's profile does: the first change of a goal must not be the first time that its facts are there.
    session.profile = profile_of().updated(scenario_facts(scenario))
    session.place = session.place.restated(scenario, session.profile)
    session.bench = Bench(scenario, session.profile, host)
    settle(session.bench)  # composed and judged once, as the wizard does before goals can be changed
    return session
