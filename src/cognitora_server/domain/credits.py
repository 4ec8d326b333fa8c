"""What things cost. One pure function serves the estimate, the live meter and the bill."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from .resources import Resources

SECONDS_PER_HOUR = 3600

#: Money is counted in whole millionths of a credit: sums of it are exact.
MICRO = 1_000_000

_FOR_EVER = 1e12


@dataclass(frozen=True, slots=True)
class Prices:
    """Credits per hour of one CPU core, one GiB of memory, one GiB of storage and one GPU."""

    cpu_core_hour: float = 2.0
    memory_gib_hour: float = 0.5
    storage_gib_hour: float = 0.01
    gpu_hour: float = 100.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Credits by what they are for."""

    cpu: float
    memory: float
    storage: float
    gpu: float

    @property
    def total(self) -> float:
        """All of it, in credits, rounded to a millionth."""
        return self.micro / MICRO

    @property
    def micro(self) -> int:
        """All of it, in millionths of a credit."""
        return round(self.exact * MICRO)

    @property
    def exact(self) -> float:
        """All of it, in credits, not rounded."""
        return self.cpu + self.memory + self.storage + self.gpu


def cost(resources: Resources, seconds: float, prices: Prices) -> Cost:
    """Return what `resources` cost, held for `seconds`: each second that has begun counts whole."""
    hours = math.ceil(max(0.0, seconds)) / SECONDS_PER_HOUR
    return Cost(
        cpu=resources.cpu_cores * prices.cpu_core_hour * hours,
        memory=resources.memory_mb / 1024 * prices.memory_gib_hour * hours,
        storage=resources.storage_gb * prices.storage_gib_hour * hours,
        gpu=resources.gpu_count * prices.gpu_hour * hours,
    )


def micro_credits(credits: float) -> int:
    """Return credits as whole millionths, rounded down: a limit is never made larger."""
    return int(Decimal(repr(float(credits))) * MICRO)


def seconds_affordable(resources: Resources, micro: int, prices: Prices) -> float:
    """Return for how many whole seconds `micro` millionths pay; infinity if the resources are free."""
    per_hour = cost(resources, SECONDS_PER_HOUR, prices).exact
    about = micro / MICRO / per_hour * SECONDS_PER_HOUR if per_hour > 0 else math.inf
    if about > _FOR_EVER:
        return math.inf
    seconds = int(about) + 1
    while seconds > 0 and cost(resources, seconds, prices).micro > micro:
        seconds -= 1
    return seconds
