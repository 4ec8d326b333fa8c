"""The route of estimates."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..domain.resources import Resources
from . import examples
from .answers import JsonAnswer
from .auth import Api, Caller
from .calls import call
from .documentation import documented
from .schemas.estimate import EstimateAnswer, EstimateCreate

router = APIRouter(tags=["estimate"])


@router.post(
    "/estimate",
    **documented(
        "Estimate a container's cost",
        "In credits, by the rule that the bill is made with. Nothing is created.",
        answer=EstimateAnswer,
        example=examples.ESTIMATE,
        body=EstimateCreate,
        bodies=examples.ESTIMATE_BODY,
        refusals=(422,),
    ),
)
async def estimate_cost(request: Request, account: Caller, api: Api) -> Response:
    """Estimate a container's cost."""
    settings = api.settings

    def asked(wanted: EstimateCreate) -> tuple[Resources, int]:
        seconds = wanted.timeout_seconds or settings.one_shot_timeout_seconds
        return wanted.to_domain(settings.default_storage_gb), seconds

    async def estimate(asked: tuple[Resources, int]) -> Response:
        return JsonAnswer(EstimateAnswer.of(api.containers.estimate(*asked), asked[1]))

    return await call(request, account, EstimateCreate, asked, estimate)
