"""What is tried again, and when.

Only what cannot be done twice by that: GET, PUT, PATCH and DELETE, and each POST under an Idempotency-Key of its own.
The pauses add up to what a server needs to start again.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .errors import APIConnectionError, APITimeoutError, CognitoraError, RateLimitError, ServiceUnavailableError

FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 8.0
#: A server that asks for more than this is not waited for; the caller gets the error, with `retry_after`.
LONGEST_RETRY_AFTER_SECONDS = 60.0


def wait_seconds(failure: CognitoraError, tried: int, max_retries: int) -> float | None:
    """Return how long to wait before the next try, or None if there is to be none. `tried` counts from 1."""
    if tried > max_retries or isinstance(failure, APITimeoutError):
        return None
    if isinstance(failure, RateLimitError | ServiceUnavailableError):
        asked = failure.retry_after
        if asked is None:
            return _backoff(tried)
        # Many who were told the same second must not come back in the same instant.
        return asked + random.uniform(0, 0.25) if asked <= LONGEST_RETRY_AFTER_SECONDS else None  # noqa: S311
    return _backoff(tried) if isinstance(failure, APIConnectionError) else None


def _backoff(tried: int) -> float:
    most = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (tried - 1))
    return random.uniform(most / 2, most)  # noqa: S311


def retry_after(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for: it holds seconds or an HTTP date."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
