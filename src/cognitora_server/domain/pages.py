"""Pages of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: `limit` items (1 to 100) after the first `offset`, newest first."""

    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """The items of one page, and how many there are on all pages."""

    items: tuple[Item, ...]
    total: int
