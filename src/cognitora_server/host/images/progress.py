"""What is told about a pull while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

PullPhase = Literal["connecting", "downloading", "unpacking", "done"]


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One moment of a pull. Numbers only grow."""

    phase: PullPhase
    layers_done: int = 0
    """Layers that are unpacked, those that were here before included."""
    layers_total: int = 0
    """Layers heard of so far; 0 until the registry has answered."""
    bytes_done: int = 0
    """Bytes received so far, compressed."""

    def __str__(self) -> str:
        """Say it in a few words, as a container's `progress` and the command line show it."""
        return f"{self.phase}, {self.layers_done} of {self.layers_total} layers"


ProgressListener = Callable[[PullProgress], None]
