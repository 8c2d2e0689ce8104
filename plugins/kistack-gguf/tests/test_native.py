import ctypes
import os
import signal
import subprocess
import sys
import threading

import pytest
from kistack_gguf import native

from kistack.plugins.waiting import brief_waiting


def test_handlers_of_c_libraries_are_undone_everywhere():
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with native.kept_signals():
        # as a C library does it, behind Python's back
        ctypes.CDLL(None).signal(ctypes.c_int(signal.SIGINT), ctypes.c_void_p(1))
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    done = []

    def elsewhere():
        with native.kept_signals():
            done.append(True)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert done == [True]
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_threads_wait_briefly_in_what_is_loaded(monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    seen = []
    monkeypatch.setattr(native.importlib, "import_module", lambda _m: seen.append(os.environ.get("GOMP_SPINCOUNT")))
    native.load("xllamacpp")
    assert int(seen[0]) > 0
    assert "GOMP_SPINCOUNT" not in os.environ
    # in a worker, which PyTorch's longer time is set for
    monkeypatch.setenv("GOMP_SPINCOUNT", brief_waiting()["GOMP_SPINCOUNT"])
    native.load("xllamacpp")
    assert seen[1] == seen[0] != os.environ["GOMP_SPINCOUNT"]
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    native.load("xllamacpp")
    assert seen[2] == os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    native.load("xllamacpp")
    assert seen[3] is None
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_cores_are_those_this_process_may_use():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from kistack_gguf.native import cores; print(cores())"
    )
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system pins no processes")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
