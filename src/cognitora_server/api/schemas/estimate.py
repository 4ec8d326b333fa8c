"""Estimates on the wire."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from ...domain.credits import Cost
from ...domain.resources import Resources
from .base import Seconds, Whole, WireRequest
from .containers import CpuCores, MemoryMb, StorageGb


class EstimateCreate(WireRequest):
    """Resources, and how long they are held."""

    cpu_cores: CpuCores
    memory_mb: MemoryMb
    storage_gb: StorageGb | None = None
    gpu_count: Annotated[Whole, Field(ge=0, le=1024)] = 0
    timeout_seconds: Annotated[Seconds | None, Field(description="Seconds (default 300).")] = None

    def to_domain(self, default_storage_gb: int) -> Resources:
        """Return the resources."""
        return Resources(self.cpu_cores, self.memory_mb, self.storage_gb or default_storage_gb, self.gpu_count)


class Breakdown(BaseModel):
    """Credits by what they are for."""

    cpu: float
    memory: float
    storage: float
    gpu: float


class EstimateAnswer(BaseModel):
    """What it costs, in credits. The bill is made by the same rule, for the time really used."""

    model_config = ConfigDict(validate_by_name=True)

    estimated_credits: float
    estimated_credits_camel: Annotated[float, Field(alias="estimatedCredits")]
    breakdown: Breakdown
    timeout_seconds: int

    @classmethod
    def of(cls, cost: Cost, seconds: int) -> Self:
        """Spell the cost."""
        return cls(
            estimated_credits=cost.total,
            estimated_credits_camel=cost.total,
            breakdown=Breakdown(
                cpu=round(cost.cpu, 6),
                memory=round(cost.memory, 6),
                storage=round(cost.storage, 6),
                gpu=round(cost.gpu, 6),
            ),
            timeout_seconds=seconds,
        )
