"""What things cost. One pure function serves the estimate, the live meter and the bill."""

from __future__ import annotations

from dataclasses import dataclass

from .containers import Resources

SECONDS_PER_HOUR = 3600


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
        return round(self.cpu + self.memory + self.storage + self.gpu, 6)


def cost(resources: Resources, seconds: float, prices: Prices) -> Cost:
    """Return what `resources` cost, held for `seconds`."""
    hours = max(0.0, seconds) / SECONDS_PER_HOUR
    return Cost(
        cpu=resources.cpu_cores * prices.cpu_core_hour * hours,
        memory=resources.memory_mb / 1024 * prices.memory_gib_hour * hours,
        storage=resources.storage_gb * prices.storage_gib_hour * hours,
        gpu=resources.gpu_count * prices.gpu_hour * hours,
    )


def seconds_affordable(resources: Resources, credits: float, prices: Prices) -> float:
    """Return how long `resources` can be held before the cost reaches `credits`; infinity if they are free."""
    per_hour = cost(resources, SECONDS_PER_HOUR, prices).total
    return credits / per_hour * SECONDS_PER_HOUR if per_hour > 0 else float("inf")
