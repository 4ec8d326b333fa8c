"""More than the host holds waits, starts in order, and is neither lost nor run twice by a restart."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from tests.controls import SMALL, Control, Start, until

from cognitora_server.control.idempotency import Claim, Idempotency
from cognitora_server.domain.containers import Container, ContainerRequest, ContainerStatus, Reason
from cognitora_server.domain.errors import Conflict, IdempotencyConflict
from cognitora_server.domain.executions import ExecutionRequest
from cognitora_server.domain.resources import Resources

QUEUED = ContainerStatus.QUEUED


async def holding(control: Control) -> Container:
    """Return a container that runs until it is cancelled."""
    return await control.running(await control.create("localhost/silent", persistent=True))


async def writing(control: Control, file: Path, number: int) -> Container:
    """Create a one-shot that writes its number to a file."""
    return await control.create(command=("sh", "-c", f"echo {number} >> {file}"))


async def test_the_queue_is_worked_off_in_order(start: Start, tmp_path: Path) -> None:
    control = await start(max_containers=1)
    first = await holding(control)
    file = tmp_path / "order"
    numbered = [await writing(control, file, number) for number in range(12)]
    seen = [await control.get(container) for container in numbered]
    assert [container.queue_position for container in seen] == list(range(1, 13))
    assert {container.status for container in seen} == {QUEUED}
    assert "number 1 in the queue: all places" in str(seen[0].progress)
    assert (await control.listed(numbered[3])).queue_position == 4
    await control.containers.cancel(control.account, first.id)
    for container in numbered:
        ended = await control.ended(container)
        assert (ended.status, ended.queue_position, ended.progress) == (ContainerStatus.COMPLETED, None, None)
    assert file.read_text().split() == [str(number) for number in range(12)]


async def test_restarts_lose_nothing_and_run_nothing_twice(start: Start, tmp_path: Path) -> None:
    control = await start(max_containers=3)
    file = tmp_path / "order"
    numbered = [await writing(control, file, number) for number in range(20)]
    for restart_after in (2, 6, 11):
        await until(lambda done=restart_after: file.exists() and len(file.read_text().split()) >= done)  # type: ignore[misc]
        control = await start(max_containers=3)
    for container in numbered:
        assert (await control.ended(container)).status is ContainerStatus.COMPLETED
    assert sorted(map(int, file.read_text().split())) == list(range(20))


async def test_those_who_ran_have_their_room_after_a_restart(start: Start) -> None:
    control = await start(max_containers=2)
    running = [await holding(control) for _ in range(2)]
    waiting = [await control.create("localhost/silent", persistent=True) for _ in range(3)]
    control = await start(max_containers=2)
    assert [(await control.get(container)).queue_position for container in waiting] == [1, 2, 3]
    await control.containers.cancel(control.account, running[1].id)
    await control.running(waiting[0])
    assert [(await control.get(container)).queue_position for container in waiting] == [None, 1, 2]


async def test_whose_sandbox_is_there_had_started(start: Start) -> None:
    control = await start(max_containers=1)
    first = await holding(control)
    second = await control.create("localhost/silent", persistent=True)
    await control.store.containers.change(first.id, status=QUEUED, started_at=None, handle=None)
    await control.store.containers.change(second.id, sequence=first.sequence - 1)
    control = await start(max_containers=1)
    await control.running(first)
    assert (await control.get(second)).queue_position == 1


async def test_cancelled_in_the_queue(start: Start) -> None:
    control = await start(max_containers=1)
    await holding(control)
    first, second = [await control.create() for _ in range(2)]
    cancelled = await control.containers.cancel(control.account, first.id)
    assert (cancelled.status, cancelled.started_at, cancelled.cost) == (ContainerStatus.CANCELLED, None, 0)
    await until(lambda: control.reconciler.live.get(first.id) is None)
    assert (await control.get(second)).queue_position == 1


async def test_expired_in_the_queue(start: Start) -> None:
    control = await start(max_containers=1)
    await holding(control)
    fixed = await control.create(expires_at=control.clock.now() + timedelta(seconds=30))
    patient = await control.create(timeout_seconds=30)
    control.clock.advance(31)
    await control.reconciler.look()
    ended = await control.ended(fixed)
    assert (ended.status, ended.started_at, ended.cost) == (ContainerStatus.TIMEOUT, None, 0)
    assert (await control.get(patient)).status is QUEUED


async def test_a_command_waits_with_its_container(start: Start) -> None:
    control = await start(max_containers=1)
    first = await holding(control)
    waiting = await control.create("localhost/silent", persistent=True)
    running = asyncio.create_task(control.execute(waiting, "echo", "at last"))
    cancelled = await control.create("localhost/silent", persistent=True)
    refused = asyncio.create_task(control.execute(cancelled, "true"))
    await asyncio.sleep(0.1)
    assert not running.done()
    await control.containers.cancel(control.account, cancelled.id)
    with pytest.raises(Conflict, match="Cancelled"):
        await refused
    await control.containers.cancel(control.account, first.id)
    assert (await running).output.combined == "at last\n"


async def test_accounts_take_turns(start: Start) -> None:
    control = await start(max_containers=2)
    running = [await holding(control) for _ in range(2)]
    many = [await control.create("localhost/silent", persistent=True) for _ in range(5)]
    other, _ = await control.store.keys.create("k2", "other", control.clock.now())
    request = ContainerRequest("localhost/silent", SMALL, 100, persistent=True)
    single = await control.containers.create(other.account_id, request)
    assert (single.status, single.queue_position) == (QUEUED, 1)
    await control.containers.cancel(control.account, running[0].id)
    await until(lambda: control.reconciler.live.get(running[0].id) is None)
    assert (await control.containers.get(other.account_id, single.id)).queue_position is None
    assert [(await control.get(container)).queue_position for container in many] == [1, 2, 3, 4, 5]


async def test_a_host_that_became_smaller(start: Start) -> None:
    control = await start(max_containers=1, host_memory_mb=1000)
    running = await holding(control)
    large = await control.create(resources=Resources(1, 900, 1))
    small = await control.create(resources=Resources(1, 100, 1))
    control = await start(max_containers=1, host_memory_mb=500)
    ended = await control.ended(large)
    assert ended.end is not None
    assert (ended.status, ended.end.reason) == (ContainerStatus.FAILED, Reason.HOST)
    assert "`memoryMb` 900 can never be given" in str(ended.end.message)
    await control.containers.cancel(control.account, running.id)
    assert (await control.ended(small)).status is ContainerStatus.COMPLETED


async def test_what_a_key_made_is_known_after_a_crash(start: Start) -> None:
    control = await start()
    request = ContainerRequest("localhost/silent", SMALL, 100, persistent=True)
    keys = Idempotency(control.store, control.clock)
    assert await keys.claim(control.account, "create", "print") == Claim()
    container = await control.containers.create(control.account, request, "create")
    await control.running(container)
    assert await keys.claim(control.account, "exec", "print") == Claim()
    ran = await control.executions.run(control.account, container.id, ExecutionRequest(("echo", "once")), "exec")
    control = await start()
    keys = Idempotency(control.store, control.clock)
    assert await keys.claim(control.account, "create", "print") == Claim(made=container.id)
    assert await keys.claim(control.account, "exec", "print") == Claim(made=ran.id)
    assert (await control.executions.ended(control.account, ran.id)).output.combined == "once\n"
    with pytest.raises(IdempotencyConflict):
        await keys.claim(control.account, "exec", "another")


async def test_a_command_that_never_ran_leaves_its_key(start: Start) -> None:
    control = await start(max_containers=1)
    await holding(control)
    waiting = await control.create("localhost/silent", persistent=True)
    keys = Idempotency(control.store, control.clock)
    await keys.claim(control.account, "exec", "print")
    lost = asyncio.create_task(
        control.executions.run(control.account, waiting.id, ExecutionRequest(("echo", "never")), "exec")
    )
    await until(lambda: _is_written(control, waiting))
    control = await start(max_containers=1)
    assert await Idempotency(control.store, control.clock).claim(control.account, "exec", "print") == Claim()
    lost.cancel()


async def _is_written(control: Control, container: Container) -> bool:
    return bool(await control.store.executions.unfinished(container.id))


async def test_a_second_request_waits_for_the_first(start: Start) -> None:
    control = await start()
    keys = Idempotency(control.store, control.clock)
    assert await keys.claim(control.account, "k", "print") == Claim()
    second = asyncio.create_task(keys.claim(control.account, "k", "print"))
    with pytest.raises(IdempotencyConflict):
        await keys.claim(control.account, "k", "another")
    assert not second.done()
    await keys.abandon(control.account, "k")
    assert await second == Claim()
    third = asyncio.create_task(keys.claim(control.account, "k", "print"))
    await keys.finish(control.account, "k", 201, b"{}")
    answer = (await third).answer
    assert answer is not None
    assert (answer.status, answer.body) == (201, b"{}")
