"""Environments for tests: made by kistack's own code, with a script in place of pip that links what is here already."""

import json
import sys
from importlib import metadata
from pathlib import Path

from kistack.plugins.environments import WORKER_NEEDS, Environment
from kistack.plugins.installing import create

#: Takes pip's arguments. Links distributions of this environment into the other one, and says what it was asked.
FAKE_PIP = """\
import json, pathlib, sys
here = pathlib.Path(__file__).parent
python, *asked = sys.argv[1:]
with (here / "asked.jsonl").open("a") as log:
    log.write(json.dumps(asked) + "\\n")
site = next(pathlib.Path(python).parent.parent.glob("lib/python*/site-packages"))
for source in json.loads((here / "files.json").read_text()):
    if "-r" in asked:
        (site / pathlib.Path(source).name).symlink_to(source)
print("Collecting everything")
print("Successfully installed nothing")
"""


def closure(names):
    """These distributions and all they require here, by canonical name."""
    found, waiting = {}, list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        lines = found[name].requires or ()
        waiting += [_name(line) for line in lines if "extra" not in line and _is_here(_name(line))]
    return found


def _name(line):
    for end in "<>=!~;[ (":
        line = line.partition(end)[0]
    return line.strip()


def _is_here(name):
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def tops_of(distribution):
    """The files and folders of a distribution that lie directly in site-packages."""
    root = Path(str(distribution.locate_file("")))
    tops = {Path(f).parts[0] for f in distribution.files or ()} - {"..", "__pycache__"}
    return [root / top for top in sorted(tops)]


def fake_pip(folder, distributions=WORKER_NEEDS):
    """The command of a pip that links these distributions, and what they require."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {str(p) for d in closure(distributions).values() for p in tops_of(d)}
    (folder / "files.json").write_text(json.dumps(sorted(files)))
    script = folder / "pip.py"
    script.write_text(FAKE_PIP)
    return (sys.executable, str(script))


def made_environment(folder, name="apart", lock="six==1.17.0\n", packages=(), modules=()):
    """An environment, made. The variable that says where environments lie must be set."""
    file = folder / f"{name}.lock"
    file.write_text(lock)
    own = Environment(name, file, tuple(packages))
    create(own, modules, pip=fake_pip(folder / "pip"))
    return own
