import pytest

from kistack.domain.facts import Fact, Profile
from kistack.plugins import costs
from kistack.plugins.costs import Machine


def test_hours_of_a_machine():
    # AWS EC2 list price of a g5.xlarge, 1.006 USD an hour: half an hour
    assert costs.machine_dollars(1800, Machine(price_per_hour=1.006)) == pytest.approx(0.503)
    assert costs.machine_dollars(1800, Machine()) == 0


def test_a_profile_may_state_the_price():
    priced = Profile({"hardware.price_per_hour": Fact(2.0, "USD", "declared", "test")})
    assert costs.machine_dollars(3600, costs.machine(priced)) == 2


def test_tokens_of_a_service():
    # prices per million tokens: 1,000 answers of 500 + 100 tokens at 3 and 15 USD
    assert costs.token_dollars(500_000, 100_000, 3, 15) == pytest.approx(3.0)
