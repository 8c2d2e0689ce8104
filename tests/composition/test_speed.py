import itertools
import time

import pytest
import toys
from facts import small_profile

from kistack.composition.composer import compose
from kistack.composition.memo import Memo
from kistack.domain.plan import Plan, Step
from kistack.plugins.host import load_host
from kistack.plugins.stages import TECHNIQUES


@pytest.mark.speed
def test_composing_takes_under_twenty_milliseconds_a_plan():
    host, profile, memo = load_host(entry_points=False, extra={"toys": toys}), small_profile(), Memo()
    sets = [s for n in range(len(TECHNIQUES) + 1) for s in itertools.combinations(TECHNIQUES, n)]
    plans = [Plan(steps=tuple(Step(use=f"{kind}/toy") for kind in kinds)) for kinds in sets]
    start = time.process_time()
    for one in plans:
        compose(one, profile, host, evaluation=False, memo=memo)
    assert (time.process_time() - start) / len(plans) < 0.02
