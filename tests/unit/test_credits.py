"""What things cost: by hand for the documentation's examples, and to the second."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from cognitora_server.domain.clock import MICROSECONDS, ManualClock, SystemClock
from cognitora_server.domain.containers import Container, ContainerType
from cognitora_server.domain.credits import MICRO, Prices, cost, micro_credits, seconds_affordable
from cognitora_server.domain.ids import new_id
from cognitora_server.domain.metering import Charge, charges, shown_end
from cognitora_server.domain.meters import Meter
from cognitora_server.domain.resources import Resources

PRICES = Prices()
START = datetime(2026, 1, 1, tzinfo=UTC)


def a_container(**changes: object) -> Container:
    made = Container(
        id=new_id("cnt"),
        account_id="acc",
        image="python:3.11",
        command=None,
        persistent=True,
        container_type=ContainerType.COMPUTE,
        resources=Resources(1, 512, 5),
        environment={},
        networking=False,
        port_mapping=None,
        max_cost_credits=100,
        timeout_seconds=100,
        expires_at=START,
        expires_fixed=False,
        isolation_requested="auto",
        name=None,
        metadata={},
        created_at=START,
        updated_at=START,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


# Worked out with pencil: an hour of a core is 2, of a GiB of memory 1/2, of a GiB of disk 1/100.
BY_HAND = [
    # "Estimate": (8 x 2) + (32 x 1/2) + (100 x 1/100) = 16 + 16 + 1 = 33 an hour, two hours
    (Resources(8, 32768, 100), 7200, 66.0),
    # "One-Shot Container": 2 + 1/4 + 5/100 = 2.30 an hour; 300 s are a twelfth: 2.30 / 12 = 0.191666…
    (Resources(1, 512, 5), 300, 0.191667),
    # "Quick Start": 4 + 2 + 20/100 = 6.20 an hour, eight hours: 48 + 1.6
    (Resources(2, 4096, 20), 28_800, 49.6),
    # "Data Science Workflow": 8 + 4 + 1/2 = 12.50 an hour, four hours
    (Resources(4, 8192, 50), 14_400, 50.0),
    # "AI Agent Environment", disk as it comes: 4 + 2 + 5/100 = 6.05 an hour, a day: 144 + 1.2
    (Resources(2, 4096, 5), 86_400, 145.2),
    # "Complete Development Workflow": 4 + 1 + 5/100 = 5.05 an hour, eight hours, then twelve
    (Resources(2, 2048, 5), 28_800, 40.4),
    (Resources(2, 2048, 5), 43_200, 60.6),
    # "Python Flask API Server": 2 + 1/2 + 5/100 = 2.55 an hour, two hours
    (Resources(1, 1024, 5), 7200, 5.1),
    # "Node.js Express API": 2.30 an hour, one and a half: 2.30 + 1.15
    (Resources(1, 512, 5), 5400, 3.45),
    # "Jupyter Notebook": 4 + 1 + 10/100 = 5.10 an hour, four hours
    (Resources(2, 2048, 10), 14_400, 20.4),
    # "PostgreSQL Database": 4 + 1/2 + 20/100 = 4.70 an hour, eight hours
    (Resources(2, 1024, 20), 28_800, 37.6),
    # "Redis Cache Server": 2.30 an hour, six hours
    (Resources(1, 512, 5), 21_600, 13.8),
    # "Resource Limits": 2 + 1/4 + 1/100 = 2.26 an hour, a twelfth of it: 0.188333…
    (Resources(1, 512, 1), 300, 0.188333),
    # A GPU: 100 an hour, 36 s are a hundredth
    (Resources(0, 0, 0, 1), 36, 1.0),
]


@pytest.mark.parametrize(("resources", "seconds", "credits"), BY_HAND)
def test_the_documentations_examples_by_hand(resources: Resources, seconds: int, credits: float) -> None:
    assert cost(resources, seconds, PRICES).total == credits


def test_each_second_that_has_begun_counts_whole() -> None:
    # 7200 cores cost 14400 an hour: 4 a second.
    assert [cost(Resources(7200, 0, 0), seconds, PRICES).total for seconds in (-1, 0, 0.001, 1, 1.001)] == [
        0,
        0,
        4,
        4,
        8,
    ]


@pytest.mark.parametrize("resources", [Resources(1, 512, 5), Resources(0.1, 64, 1), Resources(64, 262144, 100)])
@pytest.mark.parametrize("credits", [0.000001, 0.01, 1 / 3, 8.2, 100, 12345.678901])
def test_what_is_affordable_costs_no_more_and_a_second_longer_would(resources: Resources, credits: float) -> None:
    limit = micro_credits(credits)
    seconds = int(seconds_affordable(resources, limit, PRICES))
    assert cost(resources, seconds, PRICES).micro <= limit < cost(resources, seconds + 1, PRICES).micro


def test_what_is_free_can_be_held_for_ever() -> None:
    assert seconds_affordable(Resources(1, 512, 5), 1, Prices(0, 0, 0, 0)) == math.inf
    assert seconds_affordable(Resources(1, 512, 5), micro_credits(1e308), PRICES) == math.inf


def test_a_meter_counts_what_passes_within_one_boot() -> None:
    clock = ManualClock()
    meter = Meter().started(clock.steady())
    clock.advance(10.25)
    clock.jump(-3600)
    meter = meter.read(clock.steady())
    assert (meter.held, meter.seconds) == (10_250_000, 11)
    clock.advance(5)
    clock.reboot()
    clock.advance(7)
    meter = meter.read(clock.steady())
    assert meter.held == 10_250_000
    clock.advance(1)
    assert meter.read(clock.steady()).held == 11_250_000
    assert meter.stopped().read(clock.steady()).held == 10_250_000


def test_the_hosts_clock_goes_on_and_names_its_boot() -> None:
    first, second = SystemClock().steady(), SystemClock().steady()
    assert first.boot == second.boot
    assert first.microseconds <= second.microseconds


def test_charges_are_split_at_midnight_and_add_up() -> None:
    container = a_container(resources=Resources(1, 512, 5), meter=Meter(500_000, "b", 0))
    now = datetime(2026, 3, 1, 0, 0, 10, 400_000, tzinfo=UTC)
    # Held for 20.9 s so far, of which the last 10.4 s on 1 March and 10.0 s before it: 0.5 + 10.0 = 10.5 → 11 seconds.
    meter = Meter(20_900_000, "b", 20_400_000)
    assert [(charge.day, charge.seconds) for charge in charges(container, meter, now)] == [
        (date(2026, 2, 28), 10),
        (date(2026, 3, 1), 10),
    ]


@pytest.mark.parametrize("steps", [[1], [0.3, 0.3, 0.4], [86_400 * 3 + 0.7], [43_200.9] * 5, [0.1] * 100])
@pytest.mark.parametrize("limit", [1000.0, 7.0])
def test_charges_add_up_to_the_bill(steps: list[float], limit: float) -> None:
    container = a_container(resources=Resources(1.3, 700, 7), max_cost_credits=limit)
    now, held = datetime(2026, 1, 31, 18, tzinfo=UTC), 0
    total: Counter[str] = Counter()
    for step in steps:
        now += timedelta(seconds=step)
        held += round(step * MICROSECONDS)
        found: list[Charge] = list(charges(container, Meter(held), now))
        total["seconds"] += sum(charge.seconds for charge in found)
        total["micro"] += sum(charge.micro for charge in found)
        container = a_container(resources=container.resources, max_cost_credits=limit, meter=Meter(held))
    assert total["seconds"] == -(-held // MICROSECONDS)
    assert total["micro"] == container.bill(container.meter) == round(container.cost * MICRO)
    assert container.cost == min(limit, cost(container.resources, held / MICROSECONDS, PRICES).total)


def test_the_end_that_is_shown_follows_the_hosts_clock() -> None:
    clock = ManualClock()
    start = clock.now()
    end = start + timedelta(seconds=100)
    container = a_container(expires_at=end, expires_held=100 * MICROSECONDS)
    clock.advance(40.2)
    meter = Meter(40_200_000)
    assert shown_end(container, meter, clock.now()) == end
    clock.jump(3600)
    assert shown_end(container, meter, clock.now()) == end + timedelta(hours=1)
    named = a_container(expires_at=end, expires_fixed=True)
    assert shown_end(named, meter, clock.now()) == end
