"""The route of usage."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from . import examples
from .answers import JsonAnswer
from .auth import Api, Caller
from .documentation import documented
from .schemas.usage import UsageAnswer, UsageQuery
from .validation import checked, validate_query

router = APIRouter(tags=["usage"])


@router.get(
    "/usage",
    **documented(
        "Show what was used",
        "Seconds and credits by day, container or image, until this moment; and the account's budget and limits. What "
        "containers have used stays here when they are forgotten.",
        answer=UsageAnswer,
        example=examples.USAGE,
        query=UsageQuery,
    ),
)
async def show_usage(request: Request, account: Caller, api: Api) -> Response:
    """Show what was used."""
    now = api.clock.now()
    query = validate_query(UsageQuery, request.query_params.multi_items())
    wanted = checked(lambda: query.to_domain(now))
    return JsonAnswer(UsageAnswer.of(await api.usage.report(account.id, wanted, query.page()), wanted, query.page()))
