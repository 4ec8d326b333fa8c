"""Where the server is and who calls: argument, then environment, then default."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Self

import httpx

from .errors import ConfigurationError

DEFAULT_BASE_URL = "http://127.0.0.1:8080"
DEFAULT_TIMEOUT_SECONDS = 30.0
DEFAULT_RETRIES = 5

_NO_KEY = (
    "There is no API key. Pass api_key=… or set COGNITORA_API_KEY. On the server's machine 'cognitora keys create "
    "NAME' makes a key and prints it; ./quickstart leaves one in /var/lib/cognitora/quickstart.key."
)


@dataclass(frozen=True)
class Config:
    """How to reach the server. `timeout` is in seconds, for each step: connect, send, wait for the answer."""

    api_key: str = field(repr=False)
    base_url: str
    timeout: float
    max_retries: int

    @classmethod
    def of(
        cls, api_key: str | None, base_url: str | None, timeout: float | None, max_retries: int = DEFAULT_RETRIES
    ) -> Self:
        """Fill in what is not given. Raises ConfigurationError."""
        if max_retries < 0:
            raise ConfigurationError(f"max_retries must be 0 or more, not {max_retries}.")
        return cls(
            api_key=_key(api_key or os.environ.get("COGNITORA_API_KEY") or ""),
            base_url=_url(base_url or os.environ.get("COGNITORA_BASE_URL") or DEFAULT_BASE_URL),
            timeout=_seconds(timeout),
            max_retries=max_retries,
        )


def _key(given: str) -> str:
    # A key that was read from a file ends with a line break.
    key = given.strip()
    if not key:
        raise ConfigurationError(_NO_KEY)
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError("The API key holds characters that no key has. Copy it again, as one line.")
    return key


def _url(given: str) -> str:
    url = given.strip().rstrip("/")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"The server's address {url!r} (base_url or COGNITORA_BASE_URL): {error}.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(
            f"The server's address (base_url or COGNITORA_BASE_URL) must look like {DEFAULT_BASE_URL}, not {url!r}."
        )
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigurationError(
            "The server's address (base_url or COGNITORA_BASE_URL) must hold no user, password, '?' or '#': "
            f"{DEFAULT_BASE_URL} is one. The key goes into api_key or COGNITORA_API_KEY."
        )
    return url


def _seconds(given: float | None) -> float:
    text = os.environ.get("COGNITORA_TIMEOUT") if given is None else given
    try:
        seconds = DEFAULT_TIMEOUT_SECONDS if text is None or text == "" else float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigurationError(f"timeout (or COGNITORA_TIMEOUT) must be a number of seconds above 0, not {text!r}.")
    return seconds
