"""Requests: sent, tried again where that is safe, and answered with JSON or an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from .._answers import answer_of, connection_error, error_of
from .._config import Config
from .._retry import wait_seconds
from .._version import __version__
from .._waiting import async_sleep
from ..errors import CognitoraError
from .upload import AsyncUpload

#: A command's answer may take as long as the command. After this the request is sent again, with its Idempotency-Key,
#: and goes on waiting for the same command: so a host that is gone is noticed.
PATIENCE_SECONDS = 300.0

#: Each running command holds a connection: none must wait for another's.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=50)


class AsyncTransport:
    """One server, one key, and a pool of connections."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._http = httpx.AsyncClient(
            base_url=config.base_url,
            timeout=config.timeout,
            limits=_LIMITS,
            headers={"Authorization": f"Bearer {config.api_key}", "User-Agent": f"cognitora-python/{__version__}"},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer to a GET."""
        return await self._answer(self._http.build_request("GET", path, params=query))

    async def delete(self, path: str) -> dict[str, Any]:
        """Return the answer to a DELETE."""
        return await self._answer(self._http.build_request("DELETE", path))

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a PATCH."""
        return await self._answer(self._http.build_request("PATCH", path, json=body))

    async def post(
        self, path: str, body: Mapping[str, Any], idempotency_key: str | None = None, patient: bool = False
    ) -> dict[str, Any]:
        """Return the answer to a POST, which is done once however often it is sent under its key.

        Without a key it must be one that changes nothing. A `patient` one is waited for as long as it takes.
        """
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        timeout = self._patient() if patient else self.config.timeout
        request = self._http.build_request("POST", path, json=body, headers=headers, timeout=timeout)
        return await self._answer(request, patient=patient)

    async def put(self, path: str, query: Mapping[str, Any], content: AsyncUpload) -> dict[str, Any]:
        """Return the answer to a PUT of a file, which is waited for longer than for others."""
        request = self._http.build_request("PUT", path, params=query, content=content, timeout=self._patient())
        return await self._answer(request, repeatable=content.repeatable)

    def _patient(self) -> httpx.Timeout:
        return httpx.Timeout(self.config.timeout, read=max(PATIENCE_SECONDS, self.config.timeout))

    async def _answer(self, request: httpx.Request, repeatable: bool = True, patient: bool = False) -> dict[str, Any]:
        tried = 0
        cause: httpx.RequestError | None
        failure: CognitoraError
        while True:
            try:
                response = await self._http.send(request)
            except httpx.RequestError as error:
                if patient and isinstance(error, httpx.ReadTimeout):
                    continue
                failure, cause = connection_error(error, self.config.base_url), error
            else:
                if response.is_success:
                    return answer_of(response)
                failure, cause = error_of(response), None
            tried += 1
            wait = wait_seconds(failure, tried, self.config.max_retries) if repeatable else None
            if wait is None:
                raise failure from cause
            await async_sleep(wait)
