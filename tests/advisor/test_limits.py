import math

import pytest
from advisor.onpaper import profile_of

from kistack.advisor.candidates import composed
from kistack.advisor.limits import P95_OVER_MEAN, below_least, bounds, rejections, serving_bytes
from kistack.composition.arranging import plan_of
from kistack.domain.scenario import Scenario
from kistack.plugins.costs import machine
from kistack.units import parse_duration, parse_size


def broken(host, scenario, techniques="retrieve+tune+quantize", **changes):
    profile = profile_of(**changes)
    return rejections(composed(plan_of(techniques, host), profile, host), bounds(scenario, profile))


def test_nothing_is_rejected_without_limits(host, scenario):
    assert broken(host, scenario) == []


@pytest.mark.parametrize(
    ("fact", "value", "limit"),
    [
        ("scenario__limit_memory", 5e8, "memory"),
        ("scenario__limit_disk", 1e8, "disk"),
        ("scenario__limit_latency", 0.1, "latency"),
        ("scenario__limit_training", 60.0, "training time"),
        ("serving__ram_free", 5e8, "serving memory"),
        ("hardware__ram_free", 2e9, "training memory"),
        ("serving__disk_free", 1e8, "serving disk"),
        ("hardware__disk_free", 3e8, "training disk"),
        ("model__context", 100, "context"),
    ],
)
def test_each_limit_says_what_it_needs_and_what_would_admit_it(host, scenario, fact, value, limit):
    (found,) = broken(host, scenario, **{fact: value})
    assert found.limit == limit
    assert found.needs
    assert found.allowed
    assert found.admits


GPUS = {"serving__gpus": 1, "serving__gpu_free": 5e7, "hardware__gpus": 1, "hardware__gpu_free": 5e7}


def test_what_computes_on_the_processor_need_not_fit_into_a_gpu(host, scenario):
    assert broken(host, scenario, "quantize", **GPUS) == []
    found = broken(host, scenario, "quantize", **GPUS, serving__ram_free=5e7, hardware__ram_free=6e7)
    assert [r.limit for r in found] == ["serving memory", "training memory"]
    assert all("GPU" not in r.admits for r in found)


def test_what_computes_on_a_gpu_must_fit_into_it(host, scenario):
    found = broken(host, scenario, "tune", **GPUS)
    assert [r.limit for r in found] == ["serving GPU memory", "training GPU memory"]
    assert all("of GPU memory are free" in r.admits for r in found)
    assert all(r.allowed == "50 MB" for r in found)
    small = {**GPUS, "serving__gpu_free": 8e9, "hardware__gpu_free": 8e9}
    assert broken(host, scenario, "tune", **small, hardware__ram_free=1e9, serving__ram_free=1e9) == []


def test_where_gpu_and_processor_use_one_memory_all_must_fit_into_it(host, scenario):
    profile = profile_of(serving__gpus=1)
    estimate = composed(plan_of("retrieve+tune", host), profile, host).pipeline.estimate
    gpu, main = serving_bytes(estimate, machine(profile, "serving"))
    assert 0 < main < gpu
    one = {"serving__gpus": 1, "serving__gpu_free": gpu + main / 2, "serving__ram_free": gpu + main / 2}
    assert broken(host, scenario, "retrieve+tune", **one) == []
    (found,) = broken(host, scenario, "retrieve+tune", **one, serving__unified=True)
    assert found.limit == "serving memory"


def test_judging_again_on_another_machine_asks_for_its_own_memory(host, scenario):
    from kistack.advisor.judging import Bench

    bench = Bench(scenario, profile_of(), host)
    here = {j.candidate.name: j.candidate.kept for j in bench.judgement.order}
    there = bench.under(profile_of(**GPUS)).judgement
    assert here["tune"]
    assert here["quantize"]
    assert {j.candidate.name: j.candidate.kept for j in there.order if j.candidate.name in {"tune", "quantize"}} == {
        "tune": False,
        "quantize": True,
    }


def test_following_the_remedy_admits_the_candidate(host, scenario):
    (found,) = broken(host, scenario, scenario__limit_memory=5e8)
    raised = parse_size(found.admits.removeprefix("raise limits.memory to "))
    assert broken(host, scenario, scenario__limit_memory=raised) == []
    (found,) = broken(host, scenario, scenario__limit_latency=0.1)
    longer = parse_duration(found.admits.removeprefix("raise limits.latency_p95 to "))
    assert broken(host, scenario, scenario__limit_latency=longer) == []


def test_latency_is_judged_at_the_95th_percentile(host, scenario):
    profile = profile_of()
    mean = composed(plan_of("retrieve", host), profile, host).pipeline.estimate.cost("latency_seconds")
    inside, outside = mean * P95_OVER_MEAN * 1.01, mean * P95_OVER_MEAN * 0.99
    assert broken(host, scenario, "retrieve", scenario__limit_latency=inside) == []
    assert broken(host, scenario, "retrieve", scenario__limit_latency=outside)


def test_all_limits_are_told_at_once(host, scenario):
    found = broken(host, scenario, scenario__limit_memory=1e6, scenario__limit_disk=1e6, scenario__limit_latency=1e-3)
    assert [r.limit for r in found] == ["memory", "disk", "latency"]


def test_the_scenarios_own_limits_hold_where_the_profile_says_nothing():
    limits = {"memory": "1GB", "latency_p95": "2s", "money": "$3", "training_time": "1h", "disk": "2GB"}
    own = Scenario(name="x", models={"base": "m"}, limits={**limits, "local_only": True}, task={"at_least": "70%"})
    found = bounds(own, profile_of(scenario__local_only=None))
    assert (found.memory, found.latency, found.money, found.training, found.disk) == (1e9, 2, 3, 3600, 2e9)
    assert found.local_only
    assert found.at_least == pytest.approx(0.7)
    # A what-if is made in the profile.
    looser = bounds(own, profile_of(scenario__limit_memory=2e9))
    assert looser.memory == 2e9


def test_unknown_machines_limit_nothing(scenario):
    found = bounds(scenario, profile_of(hardware__ram_free=None, hardware__disk_free=None))
    assert found.train.memory == found.train.disk_free == math.inf
    assert found.at_least == 0


def test_what_cannot_be_composed_says_only_that(host, scenario):
    found = broken(host, scenario, "tune", pairs__identity=None, scenario__limit_memory=1.0)
    assert [r.limit for r in found] == ["compose"]
    assert "pairs" in found[0].needs
    assert found[0].admits == "name pairs under knowledge.pairs"


def test_quality_below_the_least_acceptable(scenario):
    asked = bounds(scenario, profile_of(scenario__at_least=0.7))
    assert below_least(70.0, asked) is None
    short = below_least(54.6, asked)
    assert (short.limit, short.allowed) == ("quality", "at least 70")
    assert short.admits == "lower task.at_least to 0.54"


def test_nothing_leaves_a_local_machine(scenario):
    from advisor import onpaper

    from kistack.plugins.hookspecs import hookimpl
    from kistack.plugins.host import load_host
    from kistack.plugins.stages import Traits

    class Remote(onpaper.PaperTune):
        name = "tune/remote"

        def traits(self, settings):
            own = super().traits(settings)
            return Traits(consumes=own.consumes, produces=own.produces, network=True)

        def estimate(self, settings, profile, inputs):
            own = super().estimate(settings, profile, inputs)
            return type(own)({**own.costs, "money": 5.0}, own.facts)

    class Plugin:
        @hookimpl
        def kistack_register_tuners(self):
            return [Remote]

    host = load_host(entry_points=False, extra={"paper": onpaper, "remote": Plugin()}, disabled=())
    assert broken(host, scenario, "tune/remote") == []
    (found,) = broken(host, scenario, "tune/remote", scenario__local_only=True)
    assert (found.limit, found.needs) == ("local_only", "tune/remote talks to other machines")
    (found,) = broken(host, scenario, "tune/remote", scenario__limit_money=3.0)
    assert (found.limit, found.needs, found.allowed) == ("money", "$5", "$3")
