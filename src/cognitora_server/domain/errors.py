"""One tree of errors.

Every error carries a stable machine word (`code`), a sentence a person can act on, and details a program can
read. The API turns them into HTTP in one table (`api/errors.py`); nothing below the API knows a status code.
"""

from __future__ import annotations

from typing import Any, ClassVar


class CognitoraError(Exception):
    """Something went wrong in Cognitora."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or (type(self).__doc__ or self.code).strip().splitlines()[0]
        self.details = details
        super().__init__(self.message)


class InvalidRequest(CognitoraError):
    """The request is not valid."""

    code = "invalid_request"


class Unauthorized(CognitoraError):
    """No valid API key was given. Send 'Authorization: Bearer KEY'; make a key with 'cognitora keys create NAME'."""

    code = "unauthorized"


class NotFound(CognitoraError):
    """There is no such resource in this account."""

    code = "not_found"


class Conflict(CognitoraError):
    """The resource is not in a state that allows this."""

    code = "conflict"


class TooLarge(CognitoraError):
    """The request is larger than this server accepts."""

    code = "too_large"


class IdempotencyConflict(CognitoraError):
    """This Idempotency-Key was used with another request. Use a new key for a new request."""

    code = "idempotency_conflict"


class ResourcesUnavailable(CognitoraError):
    """This host could never give the resources asked for."""

    code = "resources_unavailable"


class BudgetExhausted(CognitoraError):
    """The account's budget for this month is used up."""

    code = "budget_exhausted"


class AccountLimitReached(CognitoraError):
    """The account holds as much as it may at once. Cancel a container, or wait until one ends."""

    code = "account_limit"


class IsolationUnavailable(CognitoraError):
    """This host cannot give the isolation asked for. 'cognitora doctor' says why and what mends it."""

    code = "isolation_unavailable"


class NetworkingUnavailable(CognitoraError):
    """This server does not give containers networking."""

    code = "networking_unavailable"


class DriverError(CognitoraError):
    """The sandbox could not be made, found or removed."""

    code = "driver_error"


class SandboxGone(DriverError):
    """The sandbox does not exist any more."""

    code = "sandbox_gone"


class GuestError(CognitoraError):
    """The guest agent answered with an error; `code` is the guest's own word."""

    code = "guest_error"

    def __init__(self, message: str | None = None, *, guest_code: str = "guest_error", **details: Any) -> None:
        super().__init__(message, **details)
        self.guest_code = guest_code


class GuestUnreachable(GuestError):
    """The guest agent does not answer."""

    code = "guest_unreachable"
