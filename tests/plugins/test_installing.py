"""Making and removing environments, with a script in place of pip."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import apart
import pytest
import toys
from isolated import fake_pip, made_environment

from kistack.errors import InputError, KistackError
from kistack.plugins.environments import Environment, environments_folder, worker_requirements
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.plugins.installing import contents, create, declared, find, lacking, made, remove

pytestmark = pytest.mark.usefixtures("environments")


@pytest.fixture
def own(tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text("six==1.17.0\n")
    return Environment("apart", lock, ("toys",))


@pytest.fixture
def host():
    return load_host(entry_points=False, extra={"toys": toys, "apart": apart})


def pip_that(tmp_path, code):
    script = tmp_path / "pip.py"
    script.write_text(code)
    return (sys.executable, str(script))


def left():
    return {p.name for p in environments_folder().iterdir()} - {".apart.lock"}


def test_pip_is_asked_for_the_lock_file_and_what_kistack_needs(own, tmp_path):
    said = []
    folder = create(own, ["apart"], notify=said.append, pip=fake_pip(tmp_path / "pip"))
    assert folder == own.folder
    assert own.is_made
    locked, needed = map(json.loads, (tmp_path / "pip" / "asked.jsonl").read_text().splitlines())
    assert locked[0] == needed[0] == "install"
    assert locked[-3:] == ["--no-deps", "-r", str(own.lock)]
    assert needed[-len(worker_requirements()) :] == list(worker_requirements())
    assert "Collecting everything" in said
    assert {"pydantic", "filelock"} <= contents(own).keys()
    assert left() == {"apart.log", folder.name}


def test_one_that_is_there_is_left_as_it_is(own, tmp_path):
    create(own, pip=fake_pip(tmp_path / "pip"))
    assert create(own, pip=pip_that(tmp_path, "raise SystemExit('asked again')")) == own.folder


@pytest.mark.parametrize(
    ("said", "told", "remedy"),
    [
        (
            "print('x')\nprint('ERROR: No matching version of six')",
            "No matching version",
            "its words are",
        ),
        ("raise SystemExit('/usr/bin/python: No module named pip')", "has no pip", "ensurepip"),
        ("print('OSError: [Errno 28] No space left on device')", "the disk is full", "free some"),
        ("print('ERROR: Could not fetch: connection refused')", "connection refused", "check the network"),
        ("pass", "pip says 'nothing'", "its words are"),
    ],
)
def test_a_failure_of_pip_is_one_line_and_leaves_nothing(own, tmp_path, said, told, remedy):
    with pytest.raises(KistackError, match="environment 'apart' cannot be made") as caught:
        create(own, pip=pip_that(tmp_path, f"{said}\nraise SystemExit(1)"))
    assert told in caught.value.message
    assert remedy in caught.value.hint
    assert caught.value.exit_code == 1
    assert "\n" not in caught.value.message
    assert left() == {"apart.log"}


def test_one_in_which_kistack_or_the_plugin_cannot_be_imported_is_not_kept(own, tmp_path):
    with pytest.raises(KistackError, match="lacks something: ModuleNotFoundError: No module named 'psutil'"):
        create(own, pip=fake_pip(tmp_path / "pip", ("pydantic", "filelock", "pyyaml", "pluggy")))
    module = tmp_path / "wants_more.py"
    module.write_text("import no_such_library")
    sys.path.append(str(tmp_path))
    try:
        with pytest.raises(KistackError, match="no_such_library"):
            create(own, ["wants_more"], pip=fake_pip(tmp_path / "pip"))
    finally:
        sys.path.remove(str(tmp_path))
    assert left() == {"apart.log"}


def test_an_interruption_leaves_nothing_and_ends_pip(own, tmp_path):
    def interrupt(line):
        if line.startswith("pid"):
            interrupt.pid = int(line.split()[1])
            raise KeyboardInterrupt

    pip = pip_that(tmp_path, "import os, time\nprint('pid', os.getpid(), flush=True)\ntime.sleep(60)")
    with pytest.raises(KeyboardInterrupt):
        create(own, notify=interrupt, pip=pip)
    with pytest.raises(ProcessLookupError):
        os.kill(interrupt.pid, 0)
    assert left() == {"apart.log"}


def test_what_a_kill_left_is_removed_the_next_time(own, tmp_path):
    pip = pip_that(tmp_path, "import time\nprint('busy', flush=True)\ntime.sleep(60)")
    code = (
        "import sys; from pathlib import Path; from kistack.plugins.environments import Environment;"
        "from kistack.plugins.installing import create;"
        f"create(Environment('apart', Path({str(own.lock)!r})), notify=lambda l: print(l, flush=True), pip={pip!r})"
    )
    maker = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(toys.__file__).parents[1])},
    )  # fmt: skip
    try:
        while "busy" not in maker.stdout.readline():
            pass
        assert [n for n in left() if n.startswith(".making-apart.")]
    finally:
        os.killpg(maker.pid, signal.SIGKILL)
        maker.wait()
        maker.stdout.close()
    assert not own.is_made
    create(own, pip=fake_pip(tmp_path / "pip"))
    assert left() == {"apart.log", own.folder.name}


def test_one_that_is_being_made_under_a_longer_name_is_left_alone(own, tmp_path):
    others = environments_folder() / ".making-apart-too.abc"
    others.mkdir(parents=True)
    create(own, pip=fake_pip(tmp_path / "pip"))
    assert others.is_dir()


def test_two_at_once_make_one(own, tmp_path):
    slow = fake_pip(tmp_path / "pip")
    script = Path(slow[1])
    script.write_text(
        f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\nimport time; time.sleep(0.3)\n" + script.read_text()
    )
    said = []
    threads = [threading.Thread(target=create, args=(own,), kwargs={"pip": slow, "notify": said.append}) for _ in "ab"]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert own.is_made
    assert (tmp_path / "runs").read_text() == "xx", "pip is asked twice for one environment"
    assert "another process is making it: waiting for its end" in said


def test_removing_takes_those_of_earlier_lock_files_too(tmp_path):
    first = made_environment(tmp_path).folder
    other = made_environment(tmp_path, "apart-too")
    second = made_environment(tmp_path, lock="six==1.16.0\n").folder
    assert set(made()) == {first, second, other.folder}
    assert remove("apart") == sorted([first, second])
    assert made() == [other.folder]
    for name in ("apart", "../apart", "*", "apart-*"):
        with pytest.raises(InputError, match="no environment"):
            remove(name)
    assert other.is_made


def test_declared_are_those_that_plugins_register(host):
    [found] = declared(host)
    assert (found.environment, found.plugins) == (apart.APART, ("apart",))
    assert found.stages == ("profile/apart", "quantize/apart", "runtime/apart")
    assert find(host, "apart") == found
    assert lacking(host) == dict.fromkeys(found.stages, apart.APART)
    with pytest.raises(InputError, match="no installed plugin has an environment 'other'") as caught:
        find(host, "other")
    assert caught.value.hint == "environments: apart"


def test_two_plugins_may_share_one_but_not_its_name(own):
    class Same:
        @hookimpl
        def kistack_register_environments(self):
            return [apart.APART]

    class Other:
        @hookimpl
        def kistack_register_environments(self):
            return [own]

    shared = load_host(entry_points=False, extra={"apart": apart, "same": Same()})
    assert find(shared, "apart").plugins in {("apart", "same"), ("same", "apart")}
    with pytest.raises(InputError, match="declared differently by apart and other"):
        find(load_host(entry_points=False, extra={"apart": apart, "other": Other()}), "apart")


def test_what_is_no_environment_is_told_with_the_plugins_name():
    class Odd:
        @hookimpl
        def kistack_register_environments(self):
            return ["apart"]

    host = load_host(entry_points=False, extra={"odd": Odd()})
    assert declared(host) == []
    assert host.problems == ("plugin odd: kistack_register_environments: 'apart' is no Environment",)
