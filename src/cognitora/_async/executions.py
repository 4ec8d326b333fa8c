"""What is run in containers, and the files that are written there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from .. import _wire
from ..inputs import Environment
from ..models import ContainerExecResponse, ContainerExecution, FileWritten
from ..records import Page
from .base import AsyncBaseClient
from .upload import AsyncUpload


class AsyncExecutions(AsyncBaseClient):
    """The part of `containers` that is about what runs inside."""

    async def execute_in_container(
        self,
        container_id: str,
        command: Sequence[str],
        files: _wire.Files | None = None,
        timeout_seconds: int | None = None,
        working_directory: str | None = None,
        environment: Environment | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> ContainerExecResponse:
        """Write files, run a command in a container and return its result, however long it takes.

        A container that still starts is waited for. An exit code other than 0 is a result, not an error; so is a
        timeout (`timeout_seconds`, default 3600), with exit code 124. ConflictError if the container has ended.
        """
        body = _wire.given(
            command=command,
            files=_wire.file_list(files),
            timeoutSeconds=timeout_seconds,
            workingDirectory=working_directory,
            environment=environment,
        )
        path = _wire.path("containers", container_id, "exec")
        answer = await self._transport.post(path, body, _wire.key(idempotency_key), patient=True)
        return ContainerExecResponse(_wire.own(answer))

    async def upload_files(self, container_id: str, files: _wire.Files) -> ContainerExecResponse:
        """Write files into a container; relative names land in the image's working directory. See `write_file` too."""
        return await self.execute_in_container(container_id, ["echo", "Files uploaded successfully"], files)

    async def write_file(self, container_id: str, path: str, content: bytes | str | Path | BinaryIO) -> FileWritten:
        """Write one file of any size into a container: bytes, text, a local file (`Path`) or an open binary file.

        It is written whole or not at all; missing folders are made.
        """
        to = _wire.path("containers", container_id, "files")
        return FileWritten(await self._transport.put(to, {"path": path}, AsyncUpload(content)))

    async def get_container_executions(
        self, container_id: str, limit: int = 50, offset: int = 0, status: str | None = None
    ) -> Page[ContainerExecution]:
        """Return a page of the commands that ran in a container, newest first."""
        query = _wire.given(limit=limit, offset=offset, status=status)
        answer = await self._transport.get(_wire.path("containers", container_id, "executions"), query)
        return _wire.page(ContainerExecution, answer)

    async def list_all_container_executions(
        self, limit: int = 50, offset: int = 0, status: str | None = None, *, language: str | None = None
    ) -> Page[ContainerExecution]:
        """Return a page of the commands that ran in any of the account's containers, newest first."""
        query = _wire.given(limit=limit, offset=offset, status=status, language=language)
        return _wire.page(ContainerExecution, await self._transport.get(_wire.path("containers", "executions"), query))

    async def get_container_execution(self, execution_id: str) -> ContainerExecution:
        """Return one execution, with what it has written so far."""
        return ContainerExecution(await self._transport.get(_wire.path("containers", "executions", execution_id)))
