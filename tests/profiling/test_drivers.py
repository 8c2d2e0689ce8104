"""GPUs as drivers list them: answers of tools, faked system trees, a faked library; memory is never summed."""

import json
import platform
import stat
import sys
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kistack.profiling import drivers
from kistack.profiling.drivers import Gpu, has_driver, list_gpus, parse_nvidia_smi, parse_rocm_smi, read_amdgpu, visible

GIB, MIB = 1024**3, 1024**2

ANSWER = """\
0, GPU-aaaa-1, NVIDIA A100-SXM4-80GB, 81920, 40960
1, GPU-bbbb-2, NVIDIA A100-SXM4-80GB, 81920, 80000
2, GPU-cccc-3, NVIDIA GB10, [N/A], [N/A]
"""

ROCM = {
    "card0": {
        "Unique ID": "0x21",
        "VRAM Total Memory (B)": str(192 * GIB),
        "VRAM Total Used Memory (B)": str(2 * GIB),
        "Card Series": "AMD Instinct MI300X",
        "Card Model": "0x74a1",
    },
    "card1": {
        "VRAM Total Memory (B)": str(512 * MIB),
        "VRAM Total Used Memory (B)": "0",
        "Card Series": "AMD Radeon Graphics",
    },
    "system": {"Driver version": "6.8"},
}


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """A machine without drivers, libraries or variables, on Linux; 64 GiB of memory, 40 of them available."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=64 * GIB, available=40 * GIB))


def tool(folder, name, text, code=0):
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{text}\nEND\nexit {code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_answer_of_nvidia_smi():
    first, second, third = parse_nvidia_smi(ANSWER + "\nnot a row\n")
    assert first == Gpu("0", "GPU-aaaa-1", "NVIDIA A100-SXM4-80GB", 81920 * MIB, 40960 * MIB)
    assert second.free == 80000 * MIB
    assert (third.name, third.total, third.free, third.unified) == ("NVIDIA GB10", 64 * GIB, 40 * GIB, True)


@pytest.mark.parametrize(
    ("selection", "indexes"),
    [
        (None, ["0", "1", "2"]),
        ("1", ["1"]),
        ("2,0", ["2", "0"]),
        ("GPU-bbbb", ["1"]),
        ("", []),
        ("-1", []),
        ("0,9,1", ["0"]),
    ],
)
def test_visibility(selection, indexes):
    assert [g.index for g in visible(parse_nvidia_smi(ANSWER), selection)] == indexes


@given(st.text())
def test_no_answer_of_a_tool_breaks_its_parser(text):
    assert all(isinstance(g, Gpu) for g in [*parse_nvidia_smi(text), *parse_rocm_smi(text)])


@given(st.recursive(st.none() | st.integers() | st.text(), lambda s: st.dictionaries(st.text() | st.just("card0"), s)))
def test_no_document_breaks_the_parser_of_rocm_smi(document):
    assert all(isinstance(g, Gpu) for g in parse_rocm_smi(json.dumps(document)))


def test_the_answer_of_rocm_smi_without_graphics_of_processors():
    assert parse_rocm_smi(json.dumps(ROCM)) == [Gpu("0", "0x21", "AMD Instinct MI300X", 192 * GIB, 190 * GIB)]
    unnamed = {"card2": {"VRAM Total Memory (B)": str(16 * GIB), "Card Series": "0x744c"}}
    assert parse_rocm_smi(json.dumps(unnamed)) == [Gpu("2", "", "AMD GPU", 16 * GIB, 16 * GIB)]


def test_no_tool_and_no_driver_is_no_gpu(tmp_path):
    assert list_gpus(tmp_path, tmp_path) == []
    assert not has_driver(tmp_path, tmp_path)


def test_a_tool_that_fails_is_no_gpu(tmp_path):
    tool(tmp_path, "nvidia-smi", ANSWER, code=9)
    assert list_gpus(tmp_path, tmp_path) == []
    assert has_driver(tmp_path, tmp_path)


def test_nvidia_smi_is_asked_where_the_library_is_not_installed(tmp_path, monkeypatch):
    tool(tmp_path, "nvidia-smi", ANSWER)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [g.uuid for g in list_gpus(tmp_path, tmp_path)] == ["GPU-bbbb-2"]


def test_rocm_smi_is_asked_where_there_is_no_nvidia(tmp_path, monkeypatch):
    tool(tmp_path, "rocm-smi", json.dumps(ROCM))
    assert [g.name for g in list_gpus(tmp_path, tmp_path)] == ["AMD Instinct MI300X"]
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    assert list_gpus(tmp_path, tmp_path) == []


class NVMLError(Exception):
    """As nvidia-ml-py raises it."""


def library(*, starts=True, integrated=False):
    """A stand-in for nvidia-ml-py with two GPUs, of which the second may share the processor's memory."""

    def start():
        if not starts:
            raise NVMLError

    def memory(handle):
        if integrated and handle == 1:
            raise NVMLError
        return SimpleNamespace(total=(handle + 1) * 24 * GIB, free=(handle + 1) * 20 * GIB)

    ended = []
    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=start,
        nvmlShutdown=lambda: ended.append(1),
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda handle: f"GPU-{handle}",
        nvmlDeviceGetName=lambda handle: b"NVIDIA L4" if handle else "NVIDIA T4",
        nvmlDeviceGetMemoryInfo=memory,
        ended=ended,
    )


def test_the_library_is_asked_first_and_closed(tmp_path, monkeypatch):
    nvml = library(integrated=True)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    tool(tmp_path, "nvidia-smi", ANSWER)
    first, second = list_gpus(tmp_path, tmp_path)
    assert first == Gpu("0", "GPU-0", "NVIDIA T4", 24 * GIB, 20 * GIB)
    assert second == Gpu("1", "GPU-1", "NVIDIA L4", 64 * GIB, 40 * GIB, unified=True)
    assert nvml.ended == [1]


def test_a_library_without_a_driver_falls_back_to_the_tool(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", library(starts=False))
    assert drivers.ask_nvml() == []
    tool(tmp_path, "nvidia-smi", ANSWER)
    assert len(list_gpus(tmp_path, tmp_path)) == 3


def card(root, number, **files):
    folder = root / f"sys/class/drm/card{number}/device"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


@pytest.fixture
def tree(tmp_path):
    """Two AMD GPUs, the graphics of an AMD processor, and another maker's card."""
    card(tmp_path, 0, vendor="0x8086")
    card(tmp_path, 1, vendor="0x1002", mem_info_vram_total=512 * MIB, mem_info_vram_used=0)
    card(
        tmp_path,
        2,
        vendor="0x1002",
        mem_info_vram_total=24 * GIB,
        mem_info_vram_used=GIB,
        product_name="Radeon RX 7900 XTX",
        unique_id="abc",
    )
    card(tmp_path, 10, vendor="0x1002", mem_info_vram_total=16 * GIB, mem_info_vram_used=0, device="0x73bf")
    (tmp_path / "sys/class/drm/card2-DP-1").mkdir()
    (tmp_path / "dev").mkdir()
    return tmp_path


def test_amd_gpus_are_read_from_the_system_where_rocm_is(tree):
    assert read_amdgpu(tree / "sys", tree / "dev") == [], "without ROCm's device they compute nothing"
    (tree / "dev/kfd").touch()
    assert has_driver(tree / "sys", tree / "dev")
    assert list_gpus(tree / "sys", tree / "dev") == [
        Gpu("0", "abc", "Radeon RX 7900 XTX", 24 * GIB, 23 * GIB),
        Gpu("1", "", "AMD GPU 0x73bf", 16 * GIB, 16 * GIB),
    ]


@pytest.mark.parametrize(
    ("total", "available", "free"),
    [(16, 12, 16 * 2 / 3), (16, 5, 5), (64, 60, 48)],
)
def test_apple_gpus_may_use_a_part_of_the_memory(tmp_path, monkeypatch, total, available, free):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    seen = SimpleNamespace(total=total * GIB, available=available * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: seen)
    tool(tmp_path, "sysctl", "Apple M2")
    assert has_driver(tmp_path, tmp_path)
    assert list_gpus(tmp_path, tmp_path) == [Gpu("0", "", "Apple M2", total * GIB, int(free * GIB), unified=True)]
