"""Answers a repeated request with its first answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from cognitora_server.domain.clock import Clock
from cognitora_server.domain.errors import Conflict, IdempotencyConflict
from cognitora_server.store import Store


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The first answer to a request."""

    status: int
    body: bytes


class Idempotency:
    """Claims keys for requests: the first does the work, others wait for its answer."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._working: dict[tuple[str, str], asyncio.Event] = {}

    async def claim(self, account_id: str, key: str, fingerprint: str) -> StoredResponse | None:
        """Return None if the request is the caller's to do, else the first answer, waiting for it if need be.

        Raises IdempotencyConflict when the key was used for another request.
        """
        while True:
            seen = await self._store.idempotency.claim(account_id, key, fingerprint, self._clock.now())
            if seen is None:
                self._working[account_id, key] = asyncio.Event()
                return None
            if seen.fingerprint != fingerprint:
                raise IdempotencyConflict
            if seen.status is not None and seen.body is not None:
                return StoredResponse(seen.status, seen.body)
            first = self._working.get((account_id, key))
            if first is None:
                raise Conflict("The first request with this Idempotency-Key is still being worked on. Try again soon.")
            await first.wait()

    async def finish(self, account_id: str, key: str, status: int, body: bytes) -> None:
        """Keep the answer for 24 hours, and give it to those who wait."""
        await self._store.idempotency.finish(account_id, key, status, body)
        self._release(account_id, key)

    async def abandon(self, account_id: str, key: str) -> None:
        """Forget the request: whoever repeats it does the work."""
        await self._store.idempotency.abandon(account_id, key)
        self._release(account_id, key)

    def _release(self, account_id: str, key: str) -> None:
        event = self._working.pop((account_id, key), None)
        if event is not None:
            event.set()
