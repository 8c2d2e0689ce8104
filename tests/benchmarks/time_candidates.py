"""Times how long all candidates of a scenario take to compose, with and without parts that are placed apart.

    python tests/benchmarks/time_candidates.py [rounds]

It prints the least processor time of several rounds, because a busy machine adds to all of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from advisor import onpaper
from advisor.onpaper import profile_of
from advisor.parted import parted

from kistack.advisor.candidates import candidates
from kistack.advisor.recommend import advise
from kistack.domain.scenario import Scenario
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host


class _Tune(onpaper.PaperTune):
    name = "tune/further"

    def suggest(self, profile, inputs):
        return [onpaper.Rank(rank=r) for r in (4, 8, 32, 128)]


class _Quantize(onpaper.PaperQuantize):
    name = "quantize/further"

    def suggest(self, profile, inputs):
        return [onpaper.Kind(kind=k) for k in ("Q4_K_M", "Q5_K_M", "Q6_K")]


class _Further:
    @hookimpl
    def kistack_register_tuners(self):
        return [_Tune]

    @hookimpl
    def kistack_register_quantizers(self):
        return [_Quantize]


def main() -> None:
    """Print one line for each kind of scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", type=int, nargs="?", default=7)
    rounds = parser.parse_args().rounds
    host = load_host(entry_points=False, extra={"paper": onpaper, "further": _Further()}, disabled=())
    scenario = Scenario(name="paper", models={"base": "paper:135m"})
    profiles = {
        "one part": profile_of(),
        "three parts": parted(),
        "three parts, one private": parted(marks={"erasable": ["law"]}),
    }
    for name, profile in profiles.items():
        composing, advising = [], []
        for _ in range(rounds):
            start = time.process_time()
            found = candidates(profile, host, [])
            composing.append(time.process_time() - start)
            start = time.process_time()
            advise(scenario, profile, host)
            advising.append(time.process_time() - start)
        each = min(composing) / len(found)
        print(
            f"{name}: {len(found)} candidates composed in {min(composing) * 1e3:.0f} ms "
            f"({each * 1e3:.2f} ms each), judged in all in {min(advising) * 1e3:.0f} ms"
        )


if __name__ == "__main__":
    main()
