"""The route of files: one is written into a container, straight from the request's body."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..domain.errors import TooLarge
from . import examples
from .answers import JsonAnswer
from .auth import Api, Caller
from .bodies import RefusedBody, chunks, content_length
from .calls import known_container_id
from .containers import ContainerId
from .documentation import documented
from .schemas.files import FileQuery, FileWritten
from .validation import validate_query

router = APIRouter(tags=["files"])


@router.put(
    "/containers/{container_id}/files",
    **documented(
        "Write a file",
        "The request's body is the file's content, as it is; for large files this is much faster than the files of "
        "an exec. Written whole or not at all, and parent folders are made. Waits for a container that is still "
        "starting.",
        answer=FileWritten,
        example=examples.FILE_WRITTEN,
        query=FileQuery,
        content=True,
        refusals=(404, 409, 413, 422, 502),
    ),
)
async def write_file(container_id: ContainerId, request: Request, account: Caller, api: Api) -> Response:
    """Write a file."""
    query = validate_query(FileQuery, request.query_params.multi_items())
    content_length(request)
    try:
        size = await api.files.write(account.id, known_container_id(container_id), query.path, _content(request))
    except TooLarge as error:
        raise RefusedBody(error) from error
    return JsonAnswer(FileWritten(path=query.path, size=size))


async def _content(request: Request) -> AsyncIterator[bytes]:
    async for chunk in chunks(request):
        yield chunk
