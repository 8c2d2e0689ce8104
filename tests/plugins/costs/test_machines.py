import math

from shapes import A100, HERE

from kistack.domain.facts import Fact, Profile
from kistack.plugins import costs


def profile(**facts):
    return Profile({n.replace("__", "."): Fact(v, "", "measured", "test") for n, v in facts.items()})


def test_machine_reads_its_section_and_falls_back():
    facts = profile(hardware__cores=4, hardware__bandwidth=5e10, hardware__flops_fp32=3e11, hardware__isa="avx2,bf16")
    trains, serves = costs.machine(facts), costs.machine(facts, "serving")
    assert trains == serves
    assert (trains.cores, trains.bandwidth, trains.flops_fp32) == (4, 5e10, 3e11)
    assert trains.bf16_is_native
    assert trains.memory == math.inf
    other = costs.machine(facts.updated(profile(serving__cores=1).facts), "serving")
    assert other.cores == 1
    assert not other.bf16_is_native


def test_memory_of_a_machine_with_a_gpu_is_one_gpus():
    one = costs.machine(profile(hardware__gpus=2, hardware__gpu_free=8e9, hardware__ram_free=64e9))
    assert one.memory == 8e9
    assert costs.machine(profile(hardware__gpus=1)).memory == math.inf
    assert costs.machine(profile(hardware__ram_free=64e9)).memory == 64e9


def test_what_computes_on_the_processor_sees_no_gpu():
    both = profile(
        hardware__cores=16, hardware__gpus=1, hardware__gpu_free=80e9, hardware__ram_free=64e9,
        hardware__bandwidth=3e12, hardware__flops_fp32=6e13, hardware__flops_bf16=8e14,
        hardware__cpu_bandwidth=2e11, hardware__cpu_flops_fp32=2e12, hardware__cpu_flops_bf16=5e12,
    )  # fmt: skip
    alone = costs.machine(both, processor=True)
    assert (alone.gpus, alone.memory) == (0, 64e9)
    assert (alone.bandwidth, alone.flops_fp32, alone.flops_bf16) == (2e11, 2e12, 5e12)
    assert costs.machine(both).bandwidth == 3e12
    assert costs.worker_bytes(alone) == costs.WORKER_BYTES
    assert costs.worker_bytes(costs.machine(both)) == 0


def test_a_processor_beside_a_gpu_that_nobody_measured_is_assumed_and_never_given_the_gpus_speed():
    preset = profile(hardware__cores=8, hardware__gpus=1, hardware__bandwidth=3e12, hardware__flops_fp32=6e13)
    alone, bare = costs.machine(preset, processor=True), costs.machine(profile(hardware__cores=8))
    assert (alone.bandwidth, alone.flops_fp32) == (bare.bandwidth, bare.flops_fp32)
    plain = profile(hardware__cores=2, hardware__bandwidth=4e10, hardware__flops_fp32=3e11)
    assert costs.machine(plain, processor=True) == costs.machine(plain)


def test_work_fits_up_to_the_memory_that_is_free():
    assert HERE.fits(24e9)
    assert not HERE.fits(24.1e9)
    assert not A100.fits(81e9)
    assert costs.machine(profile(hardware__cores=1)).fits(1e15)
