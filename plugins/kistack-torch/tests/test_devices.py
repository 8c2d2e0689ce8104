from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from kistack_torch import devices

from kistack.errors import InputError


@pytest.fixture
def machine(monkeypatch):
    """A machine of which only what is said exists."""

    def of(*, cuda=False, mps=False, bf16_gpu=False, cpu=()):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16_gpu)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(cpu, True))

    return of


def test_the_fastest_device_is_chosen(machine):
    machine(cuda=True, mps=True)
    assert devices.available_devices() == ("cuda", "mps", "cpu")
    assert devices.choose_device() == "cuda"
    assert devices.choose_device("cpu") == "cpu"
    machine()
    assert devices.choose_device() == "cpu"
    with pytest.raises(InputError, match="'cuda' is not usable") as caught:
        devices.choose_device("cuda")
    assert caught.value.hint == "use one of: auto, cpu"


@pytest.mark.parametrize(
    ("given", "device", "dtype", "word"),
    [
        ({"cuda": True, "bf16_gpu": True}, "cuda", torch.bfloat16, "GPU multiplies"),
        ({"cuda": True}, "cuda", torch.float16, "no bf16 units"),
        ({"mps": True}, "mps", torch.float16, "Apple"),
        ({"cpu": ("avx512_bf16",)}, "cpu", torch.bfloat16, "AVX512-BF16"),
        ({"cpu": ("amx_bf16", "avx512_bf16")}, "cpu", torch.bfloat16, "AMX"),
        ({"cpu": ("avx2",)}, "cpu", torch.float32, "emulate"),
    ],
)
def test_auto_takes_what_the_device_multiplies(machine, given, device, dtype, word):
    machine(**given)
    chosen, reason = devices.choose_dtype(device)
    assert chosen == dtype
    assert word in reason
    assert reason.startswith(f"{devices.dtype_name(dtype)} because ")


def test_a_wish_is_granted_and_an_unknown_one_refused():
    assert devices.choose_dtype("cpu", "fp16") == (torch.float16, "fp16 because the settings ask for it")
    with pytest.raises(InputError, match="'int3' is unknown"):
        devices.choose_dtype("cpu", "int3")
    assert devices.dtype_name(torch.int64) == "int64"


def test_threads_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert devices.threads() == 3
    monkeypatch.delattr(devices.os, "sched_getaffinity")
    monkeypatch.setattr(devices.os, "cpu_count", lambda: None)
    assert devices.threads() == 1


def test_deterministic_runs_repeat(monkeypatch):
    monkeypatch.setattr(devices, "threads", lambda: 1)

    def draw():
        devices.set_deterministic(7)
        return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002 - what libraries draw from

    try:
        assert draw() == draw()
        assert torch.are_deterministic_algorithms_enabled()
        assert devices.os.environ["CUBLAS_WORKSPACE_CONFIG"]
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8e9),
        ({"memory.max": "max\n", "memory.current": "1000\n"}, 8e9),
        ({"memory.max": "5000000000\n", "memory.current": "2000000000\n"}, 3e9),
        (
            {"memory.max": "5000000000", "memory.current": "4000000000", "memory.stat": "anon 1\ninactive_file 500\n"},
            1e9 + 500,
        ),
        ({"memory.max": "90000000000", "memory.current": "1000"}, 8e9),
    ],
)
def test_a_containers_limit_counts_as_memory(tmp_path, monkeypatch, files, expected):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(devices, "_CGROUP", tmp_path)
    monkeypatch.setattr(devices.psutil, "virtual_memory", lambda: SimpleNamespace(available=8e9))
    assert devices.free_bytes() == expected


def test_a_gpus_own_memory_counts(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (3_000, 9_000))
    assert devices.free_bytes("cuda") == 3_000.0
