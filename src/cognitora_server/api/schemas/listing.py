"""Lists: which page, and which items."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import Field

from ...domain.pages import Page
from .base import MAX_INT, WireRequest, wrong

Choice = TypeVar("Choice", bound=StrEnum)

MAX_LIMIT = 100


class PageQuery(WireRequest):
    """Query parameters of every list."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="How many items, 1 to 100.")] = 50
    offset: Annotated[int, Field(ge=0, le=MAX_INT, description="How many items to pass over, newest first.")] = 0

    def page(self) -> Page:
        """Return the page asked for."""
        return Page(self.limit, self.offset)


def choice(kind: type[Choice], value: Any) -> Any:
    """Return `value`, in whatever case, as one of `kind`."""
    for item in kind:
        if isinstance(value, str) and value.lower() == item.value.lower():
            return item
    raise wrong(f"must be one of {', '.join(kind)}")
