"""Who is calling: `Authorization: Bearer KEY` becomes an account, before the body is read."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ..domain.accounts import Account
from ..domain.errors import Unauthorized
from .auditing import begin_audit
from .ports import Services
from .rate_limits import RateLimits
from .record import record_of

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="apiKey",
    description="An API key (`cgk_…`); `cognitora keys create NAME` makes one.",
)


def services_of(request: Request) -> Services:
    """Return what the app was made with."""
    services: Services = request.app.state.services
    return services


async def caller(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    services: Annotated[Services, Depends(services_of)],
) -> Account:
    """Return the caller's account, within its key's rate limits.

    Missing, malformed and wrong keys all get the same answer.
    """
    secret = credentials.credentials.strip() if credentials is not None else ""
    found = await services.keys.authenticate(secret)
    record, limits = record_of(request), _limits_of(request)
    if found is None:
        services.audit.refused(record.remote_address)
        await limits.refuse(record.remote_address)
        raise Unauthorized
    record.caller = found
    structlog.contextvars.bind_contextvars(account_id=found.account.id, key_id=found.key_id)
    record.headers = await limits.admit(found.key_id)
    begin_audit(request, record, services)
    return found.account


def _limits_of(request: Request) -> RateLimits:
    limits: RateLimits = request.app.state.rate_limits
    return limits


#: The caller's account; which key it was stands in the request's record.
Caller = Annotated[Account, Depends(caller)]
Api = Annotated[Services, Depends(services_of)]
