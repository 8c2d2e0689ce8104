import subprocess
import sys

from kistack_openvino import hooks
from kistack_openvino.places import OPENVINO

from kistack.plugins.host import load_host
from kistack.plugins.installing import declared


def test_what_it_registers():
    host = load_host(entry_points=False, extra={"openvino": hooks})
    assert host.problems == ()
    assert {"quantize/openvino", "runtime/openvino"} <= host.stages.keys()
    [found] = declared(host)
    assert found.environment == OPENVINO
    assert found.stages == ("quantize/openvino", "runtime/openvino")


def test_the_lock_file_pins_everything_exactly():
    lines = [line for line in OPENVINO.lock.read_text().splitlines() if line and not line.startswith("#")]
    assert all(line.count("==") == 1 and ";" not in line for line in lines)
    names = {line.partition("==")[0].lower() for line in lines}
    assert {"openvino", "nncf", "optimum-intel", "transformers", "torch"} <= names


def test_its_pins_exclude_those_of_the_other_plugins(pytestconfig):
    theirs = dict(line.split("==") for line in OPENVINO.lock.read_text().splitlines() if "==" in line)
    constraints = (pytestconfig.rootpath / "constraints.txt").read_text()
    ours = dict(line.split("==") for line in constraints.splitlines() if "==" in line)
    assert theirs["transformers"] != ours["transformers"]


def test_nothing_heavy_is_imported():
    code = (
        "import sys; import kistack_openvino.hooks;"
        "heavy = {'torch', 'transformers', 'openvino', 'nncf', 'optimum'} & {m.partition('.')[0] for m in sys.modules};"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path[:] = sys.argv[1:]; " + code, *sys.path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
