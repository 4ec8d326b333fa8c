"""Runs one execution in a live container and writes down how it went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial

from cognitora_server.domain.clock import Clock
from cognitora_server.domain.containers import MIB, ContainerStatus, End, Reason
from cognitora_server.domain.errors import GuestError, GuestUnreachable
from cognitora_server.domain.executions import TIMEOUT_EXIT_CODE, Execution, ExecutionStatus
from cognitora_server.guest import Exit, Frame, GuestClient, Process, ProcessSpec
from cognitora_server.store import Store

from .live import Live
from .metrics import Metrics
from .output import OutputCollector

_log = logging.getLogger(__name__)

#: A broken stream is taken up again so often in a row without any progress.
_RECONNECTS = 5
_RECONNECT_SECONDS = 0.05
#: The guest ends what has timed out; after this long without a word it is not waited for any more.
_GRACE_SECONDS = 15.0
_END_WAIT_SECONDS = 15
_SIGKILL_EXIT_CODE = 137

#: What a shell would exit with.
_START_FAILURES = {"command_not_found": 127, "not_executable": 126}

#: What the image says about its own processes is wrong.
_IMAGE_FAULTS = ("bad_user", "bad_cwd")

Begin = Callable[[], AbstractAsyncContextManager[AsyncIterator[Frame]]]

_ENDED_STATUS = {
    ContainerStatus.TIMEOUT: ExecutionStatus.TIMEOUT,
    ContainerStatus.CANCELLED: ExecutionStatus.CANCELLED,
}


class ExecutionRunner:
    """Follows executions to their end. The record is final when a verb returns, whatever happened."""

    def __init__(self, store: Store, clock: Clock, metrics: Metrics | None = None) -> None:
        self._store = store
        self._metrics = metrics or Metrics()
        self._clock = clock

    async def run(self, live: Live, execution: Execution, spec: ProcessSpec, output: OutputCollector) -> Execution:
        """Start the process (it may have been started already) and follow it to its end."""
        return await self._guarded(live, execution, output, lambda: _guest(live).run(spec))

    async def resume(self, live: Live, execution: Execution, output: OutputCollector) -> Execution:
        """Follow a process that an earlier server started."""
        return await self._guarded(live, execution, output, lambda: _guest(live).follow(execution.id))

    async def end_with(self, execution: Execution, end: End) -> Execution:
        """Write down that the container ended before this could."""
        status = _status_by(end)
        return await self._finish(replace(execution, status=status, error_message=_because(end)))

    async def reject(self, execution: Execution, message: str) -> Execution:
        """Write down that an execution could not even start; its Idempotency-Key may be used again."""
        await self._store.idempotency.unmake(execution.id)
        return await self._fail(execution, message)

    async def _fail(self, execution: Execution, message: str) -> Execution:
        collector = OutputCollector(0)
        collector.note(message)
        failed = replace(
            execution, status=ExecutionStatus.FAILED, error_message=message, output=collector.output()
        )  # fmt: skip
        return await self._finish(failed)

    async def _guarded(self, live: Live, execution: Execution, output: OutputCollector, begin: Begin) -> Execution:
        live.outputs[execution.id] = output
        try:
            return await self._to_the_end(live, execution, output, begin)
        except Exception:
            _log.exception("failed unexpectedly", extra=_named(live, execution))
            await self._fail(execution, "The server failed unexpectedly while this ran; its log says how.")
            raise
        finally:
            live.outputs.pop(execution.id, None)

    async def _to_the_end(self, live: Live, execution: Execution, output: OutputCollector, begin: Begin) -> Execution:
        kills = await _oom_kills(live)
        try:
            async with asyncio.timeout(_patience(execution)):
                process = await self._follow(live, execution, output, begin)
        except TimeoutError:
            process = await _give_up(live, execution)
        except GuestUnreachable as error:
            return await self._finish(await _cut_short(live, execution, output, error))
        except GuestError as error:
            return await self._finish(_not_started(live, execution, output, error))
        ended = _ended(execution, process, output)
        if process.exit_code == _SIGKILL_EXIT_CODE and await _oom_kills(live) > kills:
            live.causes[execution.id] = Reason.OOM
            ended = replace(ended, error_message=await _out_of_memory(live))
        if live.end is not None and process.exit_code != 0:  # killed with the container, not by itself
            ended = replace(ended, status=_status_by(live.end), error_message=_because(live.end))
        finished = await self._finish(ended)
        if not execution.main:
            live.hold(_forget(live, finished))
        return finished

    async def _follow(self, live: Live, execution: Execution, output: OutputCollector, begin: Begin) -> Process:
        misses = 0
        while misses < _RECONNECTS:
            reached = output.offset
            try:
                async with begin() as frames:
                    async for frame in frames:
                        output.add(frame)
                        if isinstance(frame, Exit):
                            return frame.process
            except GuestUnreachable:
                if live.end is not None or live.end_wanted.is_set():
                    raise
            misses = 0 if output.offset > reached else misses + 1
            await asyncio.sleep(_RECONNECT_SECONDS)
            begin = partial(_guest(live).follow, execution.id, output.offset)
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
        if changed is not None:
            self._metrics.executed(changed, changed.runtime_seconds(now))
        return changed or execution


def _named(live: Live, execution: Execution) -> dict[str, str]:
    return {"container_id": live.container.id, "execution_id": execution.id}


def _guest(live: Live) -> GuestClient:
    if live.guest is None:
        raise GuestUnreachable
    return live.guest


async def _oom_kills(live: Live) -> int:
    return await live.sandbox.oom_kills() if live.sandbox is not None else 0


async def _forget(live: Live, execution: Execution) -> Execution:
    """Free the output in the guest, after the answer: who waits for that needs nothing of this."""
    try:
        await _guest(live).forget(execution.id)
    except GuestError as error:
        _log.debug("its output stays in the guest: %s", error, extra=_named(live, execution))
    return execution


def _patience(execution: Execution) -> float | None:
    """Return how long to wait for a guest that should have ended a process by itself; None: it has no timeout."""
    return None if execution.main else (execution.timeout_seconds or 0) + _GRACE_SECONDS


async def _give_up(live: Live, execution: Execution) -> Process:
    try:
        async with asyncio.timeout(_GRACE_SECONDS):
            await _guest(live).signal(execution.id, "KILL")
    except (GuestError, TimeoutError) as error:
        _log.warning("cannot be killed: %r", error, extra=_named(live, execution))
    return Process(execution.id, TIMEOUT_EXIT_CODE, timed_out=True)


def _ended(execution: Execution, process: Process, output: OutputCollector) -> Execution:
    status = ExecutionStatus.COMPLETED if process.exit_code == 0 else ExecutionStatus.FAILED
    message = None
    if process.timed_out:
        status = ExecutionStatus.TIMEOUT
        message = f"Timed out after {execution.timeout_seconds:.12g} s; it and all it had started were killed."
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
    if error.guest_code == "not_found":
        message = "The server was restarted just as this began: look whether it ran before you run it again."
    output.note(message)
    if error.guest_code in _IMAGE_FAULTS:
        live.causes[execution.id] = Reason.IMAGE
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
        _log.warning("the guest agent is silent but its sandbox lives", extra=_named(live, execution))
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
