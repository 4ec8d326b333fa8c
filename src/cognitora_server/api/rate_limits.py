"""Rate limits: so many requests per key, so many wrong keys per address. Counted in memory, a few microseconds each."""

from __future__ import annotations

import math
import time
from ipaddress import ip_address

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from ..settings import Settings
from .errors import RateLimited

#: Addresses share this many counters, so that memory is bounded however many there are.
_ADDRESS_COUNTERS = 1024


class RateLimits:
    """The limits of this server.

    A sliding window of two counters for each limit: it takes the same memory whatever the limit is, and lets requests
    in again bit by bit rather than all at the full minute.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._failures = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._sustained = RateLimitItemPerMinute(settings.rate_limit_per_minute)
        burst = settings.rate_limit_burst
        self._limits: list[tuple[RateLimitItem, str]] = []
        if burst:
            self._limits.append((RateLimitItemPerSecond(burst), f"{burst} requests in a second (rate_limit_burst)"))
        if self._sustained.amount:
            text = f"{self._sustained.amount} requests in a minute (rate_limit_per_minute)"
            self._limits.append((self._sustained, text))
        self._wrong_keys = RateLimitItemPerMinute(settings.wrong_keys_per_minute)

    async def admit(self, key_id: str) -> dict[str, str]:
        """Count a request of this key; return the headers that tell how much is left. Raises RateLimited."""
        for limit, text in self._limits:
            if not await self._keys.hit(limit, key_id):
                seconds = await _seconds_until_free(self._keys, limit, key_id)
                raise RateLimited(
                    f"This key has sent more than {text}. Wait {seconds} s, then send it again; a client that waits "
                    "for containers or commands should ask less often.",
                    retry_after_seconds=seconds,
                    limit=limit.amount,
                    window_seconds=limit.get_expiry(),
                )
        return await self._headers(key_id) if self._sustained.amount else {}

    async def _headers(self, key_id: str) -> dict[str, str]:
        stats = await self._keys.get_window_stats(self._sustained, key_id)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        return {
            "RateLimit-Policy": f'"key";q={self._sustained.amount};w=60',
            "RateLimit": f'"key";r={stats.remaining};t={seconds}',
        }

    async def refuse(self, address: str | None) -> None:
        """Count a wrong key from this address. Raises RateLimited when there were too many.

        A valid key is never refused for wrong ones that came before it, not even from the same address: many callers
        can share one, and keys are too long to be guessed.
        """
        if not self._wrong_keys.amount:
            return
        counter = _counter(address)
        if not await self._failures.hit(self._wrong_keys, counter):
            seconds = await _seconds_until_free(self._failures, self._wrong_keys, counter)
            raise RateLimited(
                f"Too many requests with a wrong API key came from this address (more than {self._wrong_keys.amount} "
                f"in a minute). Check the key; after {seconds} s another one can be tried.",
                retry_after_seconds=seconds,
                limit=self._wrong_keys.amount,
                window_seconds=self._wrong_keys.get_expiry(),
            )


def _counter(address: str | None) -> str:
    """Return the counter of an address: a whole /64 has one, for one host can have all of its addresses."""
    if address is not None and ":" in address:
        address = str(int(ip_address(address)) >> 64)
    return str(hash(address) % _ADDRESS_COUNTERS)


async def _seconds_until_free(limiter: SlidingWindowCounterRateLimiter, limit: RateLimitItem, key: str) -> int:
    stats = await limiter.get_window_stats(limit, key)
    return max(1, math.ceil(stats.reset_time - time.time()))
