"""Who is calling: `Authorization: Bearer KEY` becomes an account, before the body is read."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ..domain.accounts import Account
from ..domain.errors import Unauthorized
from .ports import Services

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
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    services: Annotated[Services, Depends(services_of)],
) -> Account:
    """Return the caller's account. Missing, malformed and wrong keys all get the same answer."""
    secret = credentials.credentials.strip() if credentials is not None else ""
    account = await services.keys.authenticate(secret)
    if account is None:
        raise Unauthorized
    return account


Caller = Annotated[Account, Depends(caller)]
Api = Annotated[Services, Depends(services_of)]
