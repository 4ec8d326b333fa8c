"""Errors become HTTP here, in one table; nothing else knows a status code of an error."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..domain import errors, images
from .answers import JsonAnswer
from .methods import allowed_methods

logger = logging.getLogger("cognitora.api")


class NotSupported(errors.InvalidRequest):
    """This field is part of the API, but this server does not support it yet."""

    code = "not_supported"


class MethodNotAllowed(errors.CognitoraError):
    """This address does not take this method."""

    code = "method_not_allowed"


class BodyTimeout(errors.CognitoraError):
    """The request's body came too slowly. Send it again."""

    code = "body_timeout"


class RateLimited(errors.CognitoraError):
    """Too many requests. Wait as long as Retry-After says, then send it again."""

    code = "rate_limited"


class Busy(errors.CognitoraError):
    """The server is taking in as much as it can hold. Wait as long as Retry-After says, then send it again."""

    code = "busy"


#: The one table: an error has the status of its nearest class here.
STATUS: Mapping[type[errors.CognitoraError], int] = {
    errors.CognitoraError: 500,
    errors.InvalidRequest: 422,
    errors.Unauthorized: 401,
    errors.NotFound: 404,
    MethodNotAllowed: 405,
    BodyTimeout: 408,
    errors.Conflict: 409,
    errors.IdempotencyConflict: 409,
    errors.TooLarge: 413,
    errors.BudgetExhausted: 402,
    errors.AccountLimitReached: 429,
    errors.ResourcesUnavailable: 422,
    errors.IsolationUnavailable: 422,
    errors.NetworkingUnavailable: 422,
    RateLimited: 429,
    Busy: 503,
    errors.DriverError: 500,
    errors.GuestError: 502,
    images.ImageError: 422,
    images.ImageInUse: 409,
    images.ImagePullFailed: 502,
    images.RegistryUnreachable: 502,
}

#: What an error is about, where its details do not say.
FIELD: Mapping[type[errors.CognitoraError], str] = {
    errors.IsolationUnavailable: "isolation",
    errors.NetworkingUnavailable: "networking",
    images.ImageError: "image",
}

#: Their messages may speak of the host: people outside get the class's own sentence, the log gets the rest.
PRIVATE = (errors.DriverError,)

_RETRY_AFTER_SECONDS = 2


def status_of(error: errors.CognitoraError) -> int:
    """Return the HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def request_id_of(request: Request) -> str:
    """Return the id that this request is answered and logged with."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def error_body(code: str, message: str, request_id: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one form that every error has."""
    return {"error": message, "code": code, "request_id": request_id, "details": dict(details)}


def error_answer(error: errors.CognitoraError, request_id: str) -> Response:
    """Return the answer for an error of ours; what is the server's fault is logged."""
    status = status_of(error)
    message, details = error.message, error.details
    if status >= 500 and not isinstance(error, Busy):
        extra = {"request_id": request_id}
        logger.error("%s: %s", error.code, error.message, exc_info=error, extra=extra)
    if type(error) is errors.CognitoraError or isinstance(error, PRIVATE):
        message, details = type(error)().message, {}
    if status == 422:
        details = {**details, "fields": _fields(error)}
    headers = {}
    if status in (429, 503):
        headers["Retry-After"] = str(details.get("retry_after_seconds", _RETRY_AFTER_SECONDS))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="cognitora"'
    return JsonAnswer(error_body(error.code, message, request_id, details), status, headers)


def _fields(error: errors.CognitoraError) -> Any:
    """Return each field that is wrong and why; every 422 has them."""
    name = next((FIELD[kind] for kind in type(error).__mro__ if kind in FIELD), "body")
    alone = {"field": error.details.get("field", name), "message": error.message}
    return error.details.get("fields", [alone])


def unexpected_answer(request_id: str) -> Response:
    """Return the answer for an error nobody foresaw: nothing of the inside, but an id to find it in the log."""
    message = f"Something went wrong inside the server. Its log has the details under request id {request_id}."
    return JsonAnswer(error_body("internal", message, request_id, {}), 500)


async def on_error(request: Request, error: Exception) -> Response:
    """Handle an error of ours that a route raised."""
    assert isinstance(error, errors.CognitoraError)
    return error_answer(error, request_id_of(request))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handle what the framework itself refuses: unknown addresses and methods."""
    assert isinstance(error, HTTPException)
    path = ascii(request.url.path[:200])
    ours: errors.CognitoraError
    if error.status_code == 405:
        allowed = ", ".join(allowed_methods(request))
        ours = MethodNotAllowed(f"{request.method} is not possible on {path}, only {allowed}.", allowed=allowed)
    elif error.status_code == 404:
        ours = errors.NotFound(f"There is nothing at {path}. The API is at /api/v1; /docs lists its addresses.")
    else:
        ours = errors.InvalidRequest(str(error.detail))
    answer = error_answer(ours, request_id_of(request))
    if "allowed" in ours.details:
        answer.headers["Allow"] = ours.details["allowed"]
    return answer
