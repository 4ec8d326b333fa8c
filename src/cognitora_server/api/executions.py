"""The routes of executions: one is run in a container, and all are remembered."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from ..domain.executions import Execution, ExecutionFilter, ExecutionRequest
from ..domain.pages import Listing
from . import examples
from .answers import JsonAnswer, mirrored
from .auth import Api, Caller
from .calls import call, known_container_id, known_execution_id
from .containers import ContainerId
from .documentation import documented
from .idempotency import idempotency_key
from .record import note
from .schemas.execution_answers import LISTED_CHARACTERS, ExecAnswer, ExecOut, ExecutionListAnswer, ExecutionOut
from .schemas.executions import AccountExecutionQuery, ExecCreate, ExecutionQuery
from .schemas.listing import PageQuery
from .validation import validate_query

#: Its fixed addresses must be matched before `/containers/{container_id}`.
router = APIRouter(tags=["executions"])

ExecutionId = Annotated[str, Path(description="The execution's id.", examples=[examples.EXECUTION_ID])]


@router.get(
    "/containers/executions",
    **documented(
        "List the account's executions",
        "One page of all containers' executions, newest first.",
        answer=ExecutionListAnswer,
        example=examples.EXECUTION_LIST,
        query=AccountExecutionQuery,
    ),
)
async def list_executions(request: Request, account: Caller, api: Api) -> Response:
    """List the account's executions."""
    query = validate_query(AccountExecutionQuery, request.query_params.multi_items())
    return _page(await api.executions.list(account.id, query.to_domain(), query.page()), query, api)


@router.get(
    "/containers/executions/{execution_id}",
    **documented(
        "Get an execution",
        "An execution with what it wrote, also while it runs.",
        answer=ExecutionOut,
        example=examples.EXECUTION,
        refusals=(404,),
    ),
)
async def get_execution(execution_id: ExecutionId, account: Caller, api: Api) -> Response:
    """Get an execution."""
    execution = await api.executions.get(account.id, known_execution_id(execution_id))
    return JsonAnswer(ExecutionOut.of(execution, api.clock.now()))


@router.post(
    "/containers/{container_id}/exec",
    **documented(
        "Run a command",
        "Writes the files, runs the command and answers when it has ended; waits for a container that is still "
        "starting. An exit code other than 0 is a result, not an error. The execution goes on if the client goes away.",
        answer=ExecAnswer,
        example=examples.mirrored(examples.EXECUTED),
        body=ExecCreate,
        bodies=examples.EXEC,
        links={"get_execution": {"execution_id": "$response.body#/executionId"}},
        refusals=(404, 409, 422, 502),
    ),
)
async def execute_in_container(container_id: ContainerId, request: Request, account: Caller, api: Api) -> Response:
    """Run a command."""

    async def run(asked: ExecutionRequest) -> Response:
        key = idempotency_key(request)
        note(request, program=asked.command[0])
        execution = await api.executions.run(account.id, known_container_id(container_id), asked, key)
        note(request, execution_id=execution.id)
        return mirrored(ExecOut.of(execution, api.clock.now()))

    async def again(execution_id: str) -> Response:
        note(request, execution_id=execution_id)
        return mirrored(ExecOut.of(await api.executions.ended(account.id, execution_id), api.clock.now()))

    return await call(request, account, ExecCreate, ExecCreate.to_domain, run, again)


@router.get(
    "/containers/{container_id}/executions",
    **documented(
        "List a container's executions",
        "One page of them, newest first; the container's own command is one of them (`main`).",
        answer=ExecutionListAnswer,
        example=examples.EXECUTION_LIST,
        query=ExecutionQuery,
        refusals=(404,),
    ),
)
async def list_container_executions(container_id: ContainerId, request: Request, account: Caller, api: Api) -> Response:
    """List a container's executions."""
    query = validate_query(ExecutionQuery, request.query_params.multi_items())
    where = ExecutionFilter(container_id=known_container_id(container_id), status=query.status)
    return _page(await api.executions.list(account.id, where, query.page()), query, api)


def _page(listing: Listing[Execution], query: PageQuery, api: Api) -> Response:
    now = api.clock.now()
    items = [ExecutionOut.of(execution, now, LISTED_CHARACTERS) for execution in listing.items]
    return JsonAnswer(
        ExecutionListAnswer(executions=items, total=listing.total, limit=query.limit, offset=query.offset)
    )
