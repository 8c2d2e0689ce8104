"""Write the generated pages, or with ``--check`` only say which of them are out of date (exit code 1)."""

from __future__ import annotations

import sys

from kistack_docs.pages import ROOT, differing, write


def main(arguments: list[str]) -> int:
    """Run; returns the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m kistack_docs [--check]\n")
        return 2
    changed = differing()
    for path in changed:
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    if arguments:
        if changed:
            sys.stderr.write("error: these pages are not what the code says\nhint: write them again: make reference\n")
        return int(bool(changed))
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
