"""Answers a repeated request with its first answer; what a request has made is never made twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from cognitora_server.domain.clock import Clock
from cognitora_server.domain.errors import IdempotencyConflict
from cognitora_server.store import Store


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The first answer to a request."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known of a request: its first `answer`; or else the work is the caller's.

    `made` is what it made already, for a server that was gone before it could answer, or whose answer was too large
    to be kept: the answer is about that.
    """

    answer: StoredResponse | None = None
    made: str | None = None


@dataclass(frozen=True, slots=True)
class _Work:
    """A request that this server is working on."""

    fingerprint: str
    done: asyncio.Event


class Idempotency:
    """Claims keys for requests: the first does the work, others wait for its answer."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._working: dict[tuple[str, str], _Work] = {}

    async def claim(self, account_id: str, key: str, fingerprint: str) -> Claim:
        """Return the first answer, waiting for it if need be, or leave the work to the caller.

        Who gets no answer calls `finish` or `abandon`. Raises IdempotencyConflict when the key was used for another
        request.
        """
        while (first := self._working.get((account_id, key))) is not None:
            _check(first.fingerprint, fingerprint)
            await first.done.wait()
        self._working[account_id, key] = _Work(fingerprint, asyncio.Event())
        try:
            claim = await self._claim(account_id, key, fingerprint)
        except BaseException:
            self._release(account_id, key)
            raise
        if claim.answer is not None:
            self._release(account_id, key)
        return claim

    async def _claim(self, account_id: str, key: str, fingerprint: str) -> Claim:
        seen = await self._store.idempotency.claim(account_id, key, fingerprint, self._clock.now())
        if seen is None:
            return Claim()
        _check(seen.fingerprint, fingerprint)
        if seen.status is not None and seen.body is not None:
            return Claim(answer=StoredResponse(seen.status, seen.body))
        return Claim(made=seen.resource_id)

    async def finish(self, account_id: str, key: str, status: int, body: bytes) -> None:
        """Keep the answer for 24 hours, and give it to those who wait."""
        try:
            await self._store.idempotency.finish(account_id, key, status, body, self._clock.now())
        finally:
            self._release(account_id, key)

    async def abandon(self, account_id: str, key: str) -> None:
        """Forget the request, unless it has made something: whoever repeats it does the work that is left."""
        try:
            await self._store.idempotency.abandon(account_id, key)
        finally:
            self._release(account_id, key)

    def _release(self, account_id: str, key: str) -> None:
        self._working.pop((account_id, key)).done.set()


def _check(first: str, fingerprint: str) -> None:
    if first != fingerprint:
        raise IdempotencyConflict
