"""What users do with executions."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from cognitora_server.domain.clock import Clock
from cognitora_server.domain.errors import Conflict, GuestError, GuestUnreachable
from cognitora_server.domain.executions import (
    Execution,
    ExecutionFilter,
    ExecutionRequest,
    ExecutionStatus,
)
from cognitora_server.domain.ids import EXECUTION, new_id
from cognitora_server.domain.pages import Listing, Page
from cognitora_server.guest import ProcessSpec
from cognitora_server.settings import Settings
from cognitora_server.store import Store

from .access import missing, usable_container, why_ended
from .live import Live
from .output import OutputCollector, head_and_tail
from .processes import ExecutionRunner
from .reconciler import Reconciler
from .uploads import FileRejected, upload

_ASK_AGAIN_SECONDS = 0.1


class Executions:
    """The verbs of executions. Another account's container or execution is NotFound."""

    def __init__(
        self, store: Store, reconciler: Reconciler, runner: ExecutionRunner, settings: Settings, clock: Clock
    ) -> None:
        self._store = store
        self._reconciler = reconciler
        self._runner = runner
        self._settings = settings
        self._clock = clock

    async def run(
        self, account_id: str, container_id: str, request: ExecutionRequest, idempotency_key: str | None = None
    ) -> Execution:
        """Write the files, run the command, return when it has ended. Waits for a container that has not started.

        It goes on, and is recorded, if the caller goes away. The claimed key remembers it, unless it never ran.
        Raises NotFound, Conflict, FileRejected.
        """
        live = await usable_container(self._store, self._reconciler.live, account_id, container_id, self._settings)
        execution = self._new(live, request)
        if not live.ready.is_set():
            queued = replace(execution, status=ExecutionStatus.QUEUED, started_at=None)
            await self._store.executions.add(queued, idempotency_key)
            if not await live.usable():
                await self._runner.reject(execution, f"The container ended before this could run: {why_ended(live)}")
                raise Conflict(f"The container ended before the command could run. {why_ended(live)}")
            execution = replace(execution, started_at=self._clock.now())
            # Written while it starts: what is written at its end comes after.
            live.hold(self._mark_running(execution))
        else:
            await self._store.executions.add(execution, idempotency_key)
        live.active_at = self._clock.now()
        return await asyncio.shield(live.hold(self._work(live, execution, request)))

    async def _mark_running(self, execution: Execution) -> Execution:
        changes = {"status": ExecutionStatus.RUNNING, "started_at": execution.started_at}
        return await self._store.executions.change(execution.id, **changes) or execution

    async def get(self, account_id: str, execution_id: str) -> Execution:
        """Return an execution, with what it has written so far. Raises NotFound."""
        execution = await self._store.executions.get(execution_id, account_id)
        if execution is None:
            raise missing(f"execution {execution_id!r}", self._settings)
        live = self._reconciler.live.get(execution.container_id)
        if live is not None and not execution.status.final and execution.id in live.outputs:
            return replace(execution, output=live.outputs[execution.id].output())
        return execution

    async def ended(self, account_id: str, execution_id: str) -> Execution:
        """Return an execution when it has ended; at the latest that is with its container. Raises NotFound."""
        execution = await self.get(account_id, execution_id)
        while not execution.status.final and self._reconciler.live.get(execution.container_id) is not None:
            # Who follows it did not begin here but after a restart: there is nothing to wait on.
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
            execution = await self.get(account_id, execution_id)
        return execution

    async def list(self, account_id: str, wanted: ExecutionFilter, page: Page) -> Listing[Execution]:
        """Return a page of executions, newest first. Raises NotFound for a container that is not the account's."""
        if wanted.container_id is not None:
            await self._container(account_id, wanted.container_id)
        return await self._store.executions.list(account_id, wanted, page)

    async def _container(self, account_id: str, container_id: str) -> None:
        if await self._store.containers.get(container_id, account_id) is None:
            raise missing(f"container {container_id!r}", self._settings)

    def _new(self, live: Live, request: ExecutionRequest) -> Execution:
        container, now = live.container, self._clock.now()
        return Execution(
            id=new_id(EXECUTION),
            container_id=container.id,
            account_id=container.account_id,
            image=container.image,
            command=request.command,
            main=False,
            networking=container.networking,
            status=ExecutionStatus.RUNNING,
            created_at=now,
            started_at=now,
            working_directory=request.working_directory,
            timeout_seconds=request.timeout_seconds or self._settings.exec_timeout_seconds,
            files_uploaded=len(request.files),
        )

    async def _work(self, live: Live, execution: Execution, request: ExecutionRequest) -> Execution:
        limit = self._settings.output_limit_bytes
        head, tail = head_and_tail(limit)
        spec = ProcessSpec(
            id=execution.id,
            argv=request.command,
            env=live.environment(request.environment),
            cwd=request.working_directory or live.process_defaults.directory,
            user=live.process_defaults.user,
            timeout_ms=int((execution.timeout_seconds or 0) * 1000),
            head_bytes=head,
            tail_bytes=tail,
        )
        try:
            await upload(live, request.files, spec.cwd)
        except OSError as error:
            await self._runner.reject(execution, "The server's disk is full.")
            raise FileRejected("The server's disk is full: the files were not written.", field="files") from error
        except GuestError as error:
            await self._runner.reject(execution, error.message)
            if live.end_wanted.is_set() or live.end is not None:
                raise Conflict(f"The container ended before the command could run. {why_ended(live)}") from error
            if isinstance(error, GuestUnreachable):
                raise
            message = f"{error.message} The command was not run."
            raise FileRejected(message, field="files", reason=error.guest_code) from error
        try:
            return await self._runner.run(live, execution, spec, OutputCollector(limit))
        finally:
            live.active_at = self._clock.now()
