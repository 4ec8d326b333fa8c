"""The sync client, which can give its async twin."""

from __future__ import annotations

from ._async.client import CognitoraAsync
from ._sync import client as _sync


class Cognitora(_sync.Cognitora):
    """Everything that a Cognitora server does: `with Cognitora() as client: client.containers…`.

    What is not given is taken from COGNITORA_API_KEY, COGNITORA_BASE_URL (default http://127.0.0.1:8080) and
    COGNITORA_TIMEOUT (seconds, default 30). `timeout` bounds each wait for the server; commands may take longer.
    `max_retries` is how often a request is sent again where that is safe. Raises ConfigurationError.
    """

    async def async_client(self) -> CognitoraAsync:
        """Return an async client of the same server with the same key: `async with await client.async_client()`."""
        config = self._transport.config
        return CognitoraAsync(config.api_key, config.base_url, config.timeout, max_retries=config.max_retries)
