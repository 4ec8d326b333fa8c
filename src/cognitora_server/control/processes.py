"""Runs one execution in a live container and writes down how it went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from cognitora_server.domain.clock import Clock
from cognitora_server.domain.containers import MIB, ContainerStatus, End
from cognitora_server.domain.errors import GuestError, GuestUnreachable
from cognitora_server.domain.executions import TIMEOUT_EXIT_CODE, Execution, ExecutionStatus
from cognitora_server.guest import Exit, Frame, GuestClient, Process, ProcessSpec
from cognitora_server.store import Store

from .live import Live
from .output import OutputCollector

_log = logging.getLogger(__name__)

_RECONNECTS = 5
_END_WAIT_SECONDS = 15
_SIGKILL_EXIT_CODE = 137

#: What a shell would exit with.
_START_FAILURES = {"command_not_found": 127, "not_executable": 126}

_ENDED_STATUS = {
    ContainerStatus.TIMEOUT: ExecutionStatus.TIMEOUT,
    ContainerStatus.CANCELLED: ExecutionStatus.CANCELLED,
}


class ExecutionRunner:
    """Follows executions to their end. The record is final when a verb returns, whatever happened."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self, live: Live, execution: Execution, spec: ProcessSpec, output: OutputCollector) -> Execution:
        """Start the process (it may have been started already) and follow it to its end."""
        return await self._to_the_end(live, execution, output, _guest(live).run(spec))

    async def resume(self, live: Live, execution: Execution, output: OutputCollector) -> Execution:
        """Follow a process that an earlier server started."""
        return await self._to_the_end(live, execution, output, _guest(live).follow(execution.id))

    async def reject(self, execution: Execution, message: str, exit_code: int | None = None) -> Execution:
        """Write down that an execution could not even start."""
        collector = OutputCollector(0)
        collector.note(message)
        ended = replace(
            execution, status=ExecutionStatus.FAILED, exit_code=exit_code, error_message=message,
            output=collector.output(),
        )  # fmt: skip
        return await self._finish(ended)

    async def _to_the_end(
        self,
        live: Live,
        execution: Execution,
        output: OutputCollector,
        stream: AbstractAsyncContextManager[AsyncIterator[Frame]],
    ) -> Execution:
        kills = await _oom_kills(live)
        try:
            process = await self._follow(live, execution, output, stream)
        except GuestUnreachable as error:
            return await self._finish(await _cut_short(live, execution, output, error))
        except GuestError as error:
            return await self._finish(_not_started(live, execution, output, error))
        ended = _ended(execution, process, output)
        if process.exit_code == _SIGKILL_EXIT_CODE and await _oom_kills(live) > kills:
            live.killed_for_memory.add(execution.id)
            ended = replace(ended, error_message=await _out_of_memory(live))
        if live.end is not None and process.exit_code != 0:  # killed with the container, not by itself
            ended = replace(ended, status=_status_by(live.end), error_message=_because(live.end))
        finished = await self._finish(ended)
        await _forget(live, execution)
        return finished

    async def _follow(
        self,
        live: Live,
        execution: Execution,
        output: OutputCollector,
        stream: AbstractAsyncContextManager[AsyncIterator[Frame]],
    ) -> Process:
        for _ in range(_RECONNECTS):
            try:
                async with stream as frames:
                    async for frame in frames:
                        output.add(frame)
                        if isinstance(frame, Exit):
                            return frame.process
            except GuestUnreachable:
                if live.end is not None or live.end_wanted.is_set():
                    raise
            await asyncio.sleep(0.05)
            stream = _guest(live).follow(execution.id, output.offset)
        raise GuestUnreachable

    async def _finish(self, execution: Execution) -> Execution:
        now = self._clock.now()
        changed = await self._store.executions.change(
            execution.id,
            status=execution.status,
            exit_code=execution.exit_code,
            error_message=execution.error_message,
            output=execution.output,
            started_at=execution.started_at or now,
            completed_at=now,
        )
        return changed or execution


def _guest(live: Live) -> GuestClient:
    if live.guest is None:
        raise GuestUnreachable
    return live.guest


async def _oom_kills(live: Live) -> int:
    return await live.sandbox.oom_kills() if live.sandbox is not None else 0


async def _forget(live: Live, execution: Execution) -> None:
    try:
        await _guest(live).forget(execution.id)
    except GuestError as error:
        _log.debug("%s: output of %s stays in the guest: %s", live.container.id, execution.id, error)


def _ended(execution: Execution, process: Process, output: OutputCollector) -> Execution:
    status = ExecutionStatus.COMPLETED if process.exit_code == 0 else ExecutionStatus.FAILED
    message = None
    if process.timed_out:
        status = ExecutionStatus.TIMEOUT
        message = f"Timed out after {execution.timeout_seconds:g} s; it and all it had started were killed."
    exit_code = TIMEOUT_EXIT_CODE if process.timed_out else process.exit_code
    return replace(
        execution, status=status, exit_code=exit_code, error_message=message, output=output.output()
    )  # fmt: skip


def _not_started(live: Live, execution: Execution, output: OutputCollector, error: GuestError) -> Execution:
    message = error.message
    if error.guest_code == "command_not_found":
        message = (
            f"Command not found: {execution.command[0]!r} is not in the image {execution.image}. "
            f"Check its spelling, or use an image that has it. ({error.message})"
        )
    output.note(message)
    return replace(
        execution,
        status=ExecutionStatus.FAILED,
        exit_code=_START_FAILURES.get(error.guest_code),
        error_message=message,
        output=output.output(),
    )


async def _cut_short(live: Live, execution: Execution, output: OutputCollector, error: GuestUnreachable) -> Execution:
    """The sandbox went away underneath: wait to learn why."""
    try:
        async with asyncio.timeout(_END_WAIT_SECONDS):
            await live.end_known.wait()
    except TimeoutError:
        _log.warning("%s: the guest agent is silent but its sandbox lives", live.container.id)
    end = live.end
    status = _status_by(end) if end else ExecutionStatus.FAILED
    return replace(
        execution,
        status=status,
        exit_code=TIMEOUT_EXIT_CODE if status is ExecutionStatus.TIMEOUT else None,
        error_message=_because(end) if end else error.message,
        output=output.output(),
    )


def _status_by(end: End) -> ExecutionStatus:
    return _ENDED_STATUS.get(end.status, ExecutionStatus.FAILED)


def _because(end: End) -> str:
    return f"The container ended while this ran ({end.reason}): {end.message or end.status}"


async def _out_of_memory(live: Live) -> str:
    peak = (await live.sandbox.usage()).memory_peak_bytes if live.sandbox is not None else 0
    return out_of_memory(live.container.resources.memory_mb * MIB, peak)


def out_of_memory(limit_bytes: int, peak_bytes: int) -> str:
    """Say that the kernel ended something for memory, and what to do."""
    return (
        f"Out of memory: the limit is {limit_bytes / MIB:.0f} MiB, the peak was {peak_bytes / MIB:.0f} MiB. "
        "Use less, or create the container with a larger memoryMb."
    )
