"""What a container may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resources:
    """What a container may use. `cpu_cores` may be a fraction; `storage_gb` is GiB of writable disk."""

    cpu_cores: float
    memory_mb: int
    storage_gb: int = 5
    gpu_count: int = 0
