"""The client itself: one object for everything that the server does."""

from __future__ import annotations

from .._config import DEFAULT_RETRIES
from ..code_interpreter import AsyncCodeInterpreter
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
