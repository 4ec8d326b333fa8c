"""What an account has used: the questions and the answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from .budgets import Standing
from .pages import Listing


class UsageGroup(StrEnum):
    """What usage is summed up by."""

    DAY = "day"
    CONTAINER = "container"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which usage: the days (UTC) from `first` to `last`, both included, and what it is summed up by."""

    first: date
    last: date
    group: UsageGroup = UsageGroup.DAY


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Usage under one `key` (a day, a container's id, an image), in seconds and in millionths of a credit."""

    key: str
    image: str | None
    containers: int
    seconds: int
    micro: int


@dataclass(frozen=True, slots=True)
class UsageReport:
    """One page of sums, the whole of what they are a page of, and how the account stands now."""

    sums: Listing[UsageSum]
    whole: UsageSum
    standing: Standing
