"""From HTTP to an answer or an error."""

from __future__ import annotations

from typing import Any

import httpx

from ._retry import retry_after
from .errors import (
    BY_STATUS,
    APIConnectionError,
    APIError,
    APITimeoutError,
    CognitoraError,
    RateLimitError,
    ServerError,
    ServiceUnavailableError,
)

_SHOWN_CHARACTERS = 200


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object that a successful response holds."""
    answer = _json(response)
    if answer is None:
        raise APIError(_stranger(response), response.status_code)
    return answer


def error_of(response: httpx.Response) -> APIError:
    """Return the error that a response stands for."""
    status, answer = response.status_code, _json(response)
    kind = BY_STATUS.get(status, ServerError if status >= 500 else APIError)
    message = (answer or {}).get("error")
    error = kind(message if isinstance(message, str) else _stranger(response), status, answer)
    if isinstance(error, RateLimitError | ServiceUnavailableError):
        error.retry_after = retry_after(response.headers.get("Retry-After"))
    if error.request_id:
        error.add_note(f"request id: {error.request_id}")
    return error


def connection_error(error: httpx.RequestError, base_url: str) -> CognitoraError:
    """Return the error for a request that got no answer."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        why = str(error) or "no answer in time"
        return APIConnectionError(
            f"The server at {base_url} cannot be reached ({why}). Is it running, and is base_url (or "
            "COGNITORA_BASE_URL) its address?"
        )
    if isinstance(error, httpx.TimeoutException):
        seconds = error.request.extensions["timeout"]["read"]
        return APITimeoutError(
            f"The server at {base_url} did not answer within {seconds:g} s. What was asked for may still happen; "
            "a larger timeout (or COGNITORA_TIMEOUT) waits longer."
        )
    return APIConnectionError(f"The connection to {base_url} broke: {str(error) or type(error).__name__}.")


def _json(response: httpx.Response) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _stranger(response: httpx.Response) -> str:
    text = " ".join(response.text.split())[:_SHOWN_CHARACTERS]
    return (
        f"{response.request.url} answered with HTTP {response.status_code} and not as a Cognitora server does. Is "
        f"base_url (or COGNITORA_BASE_URL) right, and no other program in between? It said: {text!r}"
    )
