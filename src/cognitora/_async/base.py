"""What all clients share: how they are made, and closed."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from .._config import DEFAULT_RETRIES, Config
from .transport import AsyncTransport


class AsyncBaseClient:
    """A client of one server with one key. Use it in `async with`, or close it; it belongs to one event loop.

    What is not given is taken from COGNITORA_API_KEY, COGNITORA_BASE_URL (default http://127.0.0.1:8080) and
    COGNITORA_TIMEOUT (seconds, default 30). `timeout` bounds each wait for the server; commands may take longer.
    `max_retries` is how often a request is sent again where that is safe. Raises ConfigurationError.
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
        self._transport = transport or AsyncTransport(Config.of(api_key, base_url, timeout, max_retries))

    @property
    def api_key(self) -> str:
        """The key that requests carry."""
        return self._transport.config.api_key

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._transport.config.base_url

    @property
    def timeout(self) -> float:
        """Seconds that each wait for the server may take."""
        return self._transport.config.timeout

    async def close(self) -> None:
        """Close all connections. What runs on the server goes on."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"
