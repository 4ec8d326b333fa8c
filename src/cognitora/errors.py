"""One tree of errors. Each says what happened and what to do; `except CognitoraError` catches them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CognitoraError(Exception):
    """Something did not work.

    `str(error)` is a sentence for people. An error that the server answered with has `status_code` (HTTP), `code` (a
    word for programs), `request_id` (to find it in the server's log), `details`, and `response_data`, the whole answer.
    """

    def __init__(
        self,
        message: str,
        status_code: int | None = None,
        response_data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.response_data = None if response_data is None else dict(response_data)
        answer = self.response_data or {}
        self.code: str | None = answer.get("code")
        self.request_id: str | None = answer.get("request_id")
        self.details: dict[str, Any] = dict(answer.get("details") or {})


class ConfigurationError(CognitoraError, ValueError):
    """The client cannot be made: no key, or a setting that makes no sense."""


class NotSupportedError(CognitoraError, NotImplementedError):
    """This version of the client does not do this yet."""


class WaitTimeoutError(CognitoraError, TimeoutError):
    """What was waited for did not happen in time. The container goes on."""


class APIConnectionError(CognitoraError):
    """The server could not be reached, or the connection broke, also when tried again."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """The server took longer to answer than `timeout` allows. What was asked for may still happen."""


class APIError(CognitoraError):
    """The server answered with an error."""


class AuthenticationError(APIError):
    """401: the key is missing, wrong or revoked."""


class PaymentRequiredError(APIError):
    """402: the account has no credits left for this."""


class NotFoundError(APIError):
    """404: there is no such thing in this account."""


class ConflictError(APIError):
    """409: not possible in its state, such as a command in a container that has ended."""


class InvalidRequestError(APIError):
    """400, 413 or 422: the request cannot be done as it is. `fields` names what to change."""

    @property
    def fields(self) -> dict[str, str]:
        """What is wrong, by field (in the wire's spelling)."""
        listed = self.details.get("fields")
        return {one["field"]: one["message"] for one in listed} if isinstance(listed, list) else {}


class RateLimitError(APIError):
    """429: too much at once, also after waiting as long as `retry_after` (seconds) said."""

    retry_after: float | None = None


class ServerError(APIError):
    """5xx: the server's fault, or something behind it, such as a registry that cannot be reached."""


class ServiceUnavailableError(ServerError):
    """503: not now, also after waiting as long as `retry_after` (seconds) said."""

    retry_after: float | None = None


#: An answer's error has the class of its status; other 4xx are APIError, other 5xx ServerError.
BY_STATUS: Mapping[int, type[APIError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
    503: ServiceUnavailableError,
}
