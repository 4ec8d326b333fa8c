"""The routes of containers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from ..domain.containers import Container, ContainerChange, ContainerRequest, ContainerStatus
from ..domain.ids import EXECUTION, is_id
from . import examples
from .answers import JsonAnswer, mirrored, mirrored_list
from .auth import Api, Caller
from .calls import call, known_container_id
from .documentation import documented
from .idempotency import idempotency_key
from .record import note
from .schemas.container_answers import (
    CancelAnswer,
    CancelOut,
    ContainerAnswer,
    ContainerListAnswer,
    ContainerOut,
    LogsAnswer,
    LogsOut,
    UpdateAnswer,
    UpdateOut,
)
from .schemas.containers import ContainerCreate, ContainerQuery, ContainerUpdate
from .schemas.execution_answers import ExecutionAsContainer, ExecutionOut
from .validation import validate_query

router = APIRouter(tags=["containers"])

ContainerId = Annotated[str, Path(description="The container's id.", examples=[examples.CONTAINER_ID])]


#: What can be done with a container once it is created.
_ON_CONTAINERS = (
    "get_container",
    "update_container",
    "cancel_container",
    "get_container_logs",
    "execute_in_container",
    "list_container_executions",
    "write_file",
)


@router.post(
    "/containers",
    **documented(
        "Create a container",
        "Accepts a container, which starts on its own: QUEUED, then STARTING, RUNNING. Without `command` the image's "
        "own is run. A one-shot container ends with its command; a persistent one outlives it and takes commands.",
        answer=ContainerAnswer,
        example=examples.mirrored(examples.CONTAINER),
        status=201,
        body=ContainerCreate,
        bodies=examples.CREATE,
        links={name: {"container_id": "$response.body#/id"} for name in _ON_CONTAINERS},
        refusals=(402, 409, 422),
    ),
)
async def create_container(request: Request, account: Caller, api: Api) -> Response:
    """Create a container."""

    async def create(asked: ContainerRequest) -> Response:
        container = await api.containers.create(account.id, asked, idempotency_key(request))
        note(request, container_id=container.id)
        return _answer(container, 201)

    async def again(container_id: str) -> Response:
        note(request, container_id=container_id)
        return _answer(await api.containers.get(account.id, container_id), 201)

    def to_domain(wanted: ContainerCreate) -> ContainerRequest:
        return wanted.to_domain(api.settings.default_storage_gb)

    return await call(request, account, ContainerCreate, to_domain, create, again)


@router.get(
    "/containers",
    **documented(
        "List containers",
        "One page of the account's containers, newest first. `executions` and `data` are the same list.",
        answer=ContainerListAnswer,
        example=examples.CONTAINER_LIST,
        query=ContainerQuery,
    ),
)
async def list_containers(request: Request, account: Caller, api: Api) -> Response:
    """List containers."""
    query = validate_query(ContainerQuery, request.query_params.multi_items())
    listing = await api.containers.list(account.id, query.to_domain(), query.page())
    items = [ContainerOut.of(container) for container in listing.items]
    return mirrored_list(items, {"total": listing.total, "limit": query.limit, "offset": query.offset})


@router.get(
    "/containers/{container_id}",
    **documented(
        "Get a container",
        "The container as it is now, with what it has used. An execution's id (`exec_…`) is answered too, "
        "with the execution.",
        answer=ContainerAnswer | ExecutionAsContainer,
        example=examples.mirrored(examples.CONTAINER),
        refusals=(404,),
    ),
)
async def get_container(container_id: ContainerId, account: Caller, api: Api) -> Response:
    """Get a container."""
    if is_id(container_id, EXECUTION):
        return await _execution(account.id, container_id, api)
    return _answer(await api.containers.get(account.id, known_container_id(container_id)))


@router.patch(
    "/containers/{container_id}",
    **documented(
        "Change when a container ends",
        "`timeoutSeconds` counts from now (or from its start, if that is to come); `expiresAt` names the instant, and "
        "goes first if both are given. "
        "`idleTimeoutSeconds` ends it after that long without activity.",
        answer=UpdateAnswer,
        example=examples.mirrored(examples.UPDATED),
        body=ContainerUpdate,
        bodies=examples.UPDATE,
        refusals=(404, 409, 422),
    ),
)
async def update_container(container_id: ContainerId, request: Request, account: Caller, api: Api) -> Response:
    """Change when a container ends."""

    async def update(asked: ContainerChange) -> Response:
        changed = await api.containers.update(account.id, known_container_id(container_id), asked)
        return mirrored(
            UpdateOut(
                id=changed.id,
                status=changed.status,
                expires_at=changed.expires_at,
                timeout_seconds=changed.timeout_seconds,
                idle_timeout_seconds=changed.idle_timeout_seconds,
                updated_at=changed.updated_at,
            )
        )

    return await call(request, account, ContainerUpdate, ContainerUpdate.to_domain, update)


@router.delete(
    "/containers/{container_id}",
    **documented(
        "Cancel a container",
        "Ends the container and everything in it. One that has ended stays as it is; that is no error.",
        answer=CancelAnswer,
        example=examples.mirrored(examples.CANCELLED),
        refusals=(404,),
    ),
)
async def cancel_container(container_id: ContainerId, account: Caller, api: Api) -> Response:
    """Cancel a container."""
    container = await api.containers.cancel(account.id, known_container_id(container_id))
    return mirrored(CancelOut(id=container.id, status=container.status, message=_what_became(container.status)))


@router.get(
    "/containers/{container_id}/logs",
    **documented(
        "Read a container's logs",
        "What its main command has written so far, stdout and stderr as they came.",
        answer=LogsAnswer,
        example=examples.mirrored(examples.LOGS),
        refusals=(404,),
    ),
)
async def get_container_logs(container_id: ContainerId, account: Caller, api: Api) -> Response:
    """Read a container's logs."""
    return mirrored(LogsOut(logs=await api.containers.logs(account.id, known_container_id(container_id))))


def _answer(container: Container, status: int = 200) -> JsonAnswer:
    return mirrored(ContainerOut.of(container), status)


async def _execution(account_id: str, execution_id: str, api: Api) -> Response:
    execution = await api.executions.get(account_id, execution_id)
    container = await api.containers.get(account_id, execution.container_id)
    shown = ExecutionOut.of(execution, api.clock.now())
    return JsonAnswer(ExecutionAsContainer.within(container, shown))


def _what_became(status: ContainerStatus) -> str:
    if status is ContainerStatus.CANCELLED:
        return "The container is cancelled."
    if status.final:
        return f"The container had ended already ({status}); it stays as it is."
    return "The container is being cancelled."
