"""What calibration does to a composed plan: told numbers move, keys, types and what stages stated do not."""

import math

import pytest
import toys
from facts import small_profile

from kistack.composition.composer import compose
from kistack.domain.calibration import ANY, UNCALIBRATED, Calibration, Correction
from kistack.domain.plan import Plan, Step
from kistack.plugins.builtins import PYTHON_BYTES
from kistack.plugins.host import load_host

PLAN = Plan(steps=tuple(Step(use=f"{kind}/toy") for kind in ("retrieve", "tune", "quantize")))
MACHINE = "test-machine"
CALIBRATION = Calibration(
    {
        ("seconds", "tune/toy", MACHINE): Correction(math.log(2), 0.1, 3),
        ("peak_bytes", "tune/toy", ANY): Correction(math.log(3), 0.1, 3),
        ("bytes", "quantize/toy", ANY): Correction(math.log(1.5), 0.01, 3),
        ("bytes", "source/toy", ANY): Correction(math.log(9), 0.01, 3),
        ("latency_seconds", "runtime/toyq", ANY): Correction(math.log(2), 0.1, 3),
        ("serving_peak_bytes", "runtime/toyq", ANY): Correction(math.log(2), 0.1, 3),
    },
    3,
)


@pytest.fixture(scope="module")
def host():
    return load_host(entry_points=False, extra={"toys": toys})


@pytest.fixture(scope="module")
def before(host):
    return compose(PLAN, small_profile(), host)


@pytest.fixture(scope="module")
def after(host):
    return compose(PLAN, small_profile(), host, calibration=CALIBRATION)


def node(pipeline, use):
    return next(n for n in pipeline.nodes if n.label == use)


def test_keys_types_and_stated_numbers_stay(before, after):
    assert [n.key for n in before.nodes] == [n.key for n in after.nodes]
    for old, new in zip(before.nodes, after.nodes, strict=True):
        assert old.outputs == new.outputs
        assert all(new.estimate.stated(name) == value for name, value in old.estimate.costs.items())
        assert new.estimate.raw.get("bytes", new.estimate.made) == old.estimate.made


def test_a_node_tells_the_corrected_number(before, after):
    old, new = (node(p, "tune/toy").estimate for p in (before, after))
    assert new.cost("seconds") == pytest.approx(2 * old.cost("seconds"))
    assert new.cost("peak_bytes") == pytest.approx(3 * old.cost("peak_bytes"))
    assert new.interval("seconds") == pytest.approx(tuple(2 * old.cost("seconds") * math.exp(s) for s in (-0.1, 0.1)))
    assert node(after, "quantize/toy").growth == pytest.approx(1.5)
    # The size of a source is known, whatever a calibration says.
    assert node(after, "source/toy").growth == 1
    assert "bytes" not in node(after, "source/toy").estimate.intervals


def test_answers_through_another_runtime_are_other_work(before):
    asked = {n.work for n in before.nodes if n.label == "answer/items"}
    runtimes = {s.opener.stage for s in before.systems.values()}
    assert len(runtimes) == 2
    assert all(any(runtime in work for work in asked) for runtime in runtimes)
    [work] = [w for w in asked if "retrieve/toy" in w]
    calibration = Calibration({("seconds", work, MACHINE): Correction(math.log(2), 0.1, 3)})
    host = load_host(entry_points=False, extra={"toys": toys})
    told = compose(PLAN, small_profile(), host, calibration=calibration)
    for node in told.nodes:
        assert bool(node.estimate.raw) == (node.work == work)


def test_the_plan_adds_up_what_its_nodes_tell(before, after):
    assert after.estimate.cost("seconds") == pytest.approx(sum(n.estimate.cost("seconds") for n in after.steps))
    assert after.estimate.stated("seconds") == pytest.approx(before.estimate.cost("seconds"))
    assert after.estimate.stated("evaluation_seconds") == before.estimate.cost("evaluation_seconds")
    assert after.estimate.cost("peak_bytes") == pytest.approx(max(n.estimate.cost("peak_bytes") for n in after.steps))
    assert after.estimate.stated("peak_bytes") == before.estimate.cost("peak_bytes")
    quantized = node(before, "quantize/toy").estimate.made
    assert after.estimate.cost("bytes") == pytest.approx(before.estimate.cost("bytes") + 0.5 * quantized)
    assert after.estimate.stated("bytes") == before.estimate.cost("bytes")
    assert after.estimate.cost("scratch_bytes") == pytest.approx(
        before.estimate.cost("scratch_bytes") + 0.5 * quantized
    )


def test_serving_is_corrected_by_the_runtime_that_answers(before, after):
    [name] = {s.opener.stage for s in after.systems.values() if s.name == "plan"}
    calibration = Calibration(
        {
            ("latency_seconds", name, ANY): Correction(math.log(2), 0.1, 3),
            ("serving_peak_bytes", name, ANY): Correction(math.log(3), 0.1, 3),
        }
    )
    host = load_host(entry_points=False, extra={"toys": toys})
    told = compose(PLAN, small_profile(), host, calibration=calibration).estimate
    assert told.cost("latency_seconds") == pytest.approx(2 * before.estimate.cost("latency_seconds"))
    assert told.cost("serving_peak_bytes") == pytest.approx(3 * before.estimate.cost("serving_peak_bytes"))
    assert told.stated("serving_peak_bytes") == before.estimate.cost("serving_peak_bytes") > PYTHON_BYTES
    assert told.stated("latency_seconds") == before.estimate.cost("latency_seconds")
    assert told.interval("serving_peak_bytes")[0] < told.cost("serving_peak_bytes")


@pytest.mark.parametrize("calibration", [UNCALIBRATED, CALIBRATION], ids=["nothing ran", "calibrated"])
def test_every_total_lies_in_its_interval(host, calibration):
    told = compose(PLAN, small_profile(), host, calibration=calibration).estimate
    names = {"seconds", "peak_bytes", "bytes", "latency_seconds", "serving_peak_bytes"}
    assert names <= told.intervals.keys()
    for name in names:
        low, high = told.interval(name)
        assert low <= told.cost(name) <= high
        assert low < high


def test_nothing_is_raw_where_nothing_was_moved(before):
    assert before.estimate.raw == {}
    assert all(n.estimate.raw == {} for n in before.nodes)


def test_a_document_of_the_plan_shows_both(after):
    document = after.describe()
    assert document["raw"]["seconds"] < document["predicted"]["seconds"]
    [tune] = [n for n in document["nodes"] if n["use"] == "tune/toy"]
    assert tune["raw"] == {"seconds": 5.0, "peak_bytes": 4e7}
    assert tune["intervals"]["seconds"][0] < tune["predicted"]["seconds"] < tune["intervals"]["seconds"][1]
