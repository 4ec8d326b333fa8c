"""The client itself: one object for everything that the server does."""

from __future__ import annotations

from datetime import date
from typing import Literal

from .. import _wire
from .._config import DEFAULT_RETRIES
from ..code_interpreter import AsyncCodeInterpreter
from ..models import Usage
from .base import AsyncBaseClient
from .containers import AsyncContainers
from .transport import AsyncTransport


class CognitoraAsync(AsyncBaseClient):
    """Everything that a Cognitora server does; see the base class for its arguments.

    `containers` runs containers. `code_interpreter` is not there yet, and says so when it is used.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        *,
        max_retries: int = DEFAULT_RETRIES,
        transport: AsyncTransport | None = None,
    ) -> None:
        super().__init__(api_key, base_url, timeout, max_retries=max_retries, transport=transport)
        self.containers = AsyncContainers(transport=self._transport)
        self.code_interpreter = AsyncCodeInterpreter()

    async def get_usage(
        self,
        first: date | str | None = None,
        last: date | str | None = None,
        group_by: Literal["day", "container", "image"] = "day",
        limit: int = 50,
        offset: int = 0,
    ) -> Usage:
        """Return what the account used from the day `first` (default: the month's) to `last` (today), both included.

        It is summed up by day, container or image. Days are in UTC. Raises CognitoraError.
        """
        query = _wire.given(to=last, groupBy=group_by, limit=limit, offset=offset) | _wire.given(**{"from": first})
        return Usage(await self._transport.get(_wire.path("usage"), query))
