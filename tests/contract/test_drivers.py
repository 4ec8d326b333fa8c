"""The contract of drivers, kept by the fake and by the real ones alike."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from cognitora_server.domain.errors import CognitoraError, SandboxGone
from cognitora_server.domain.ids import CONTAINER, new_id

from .harness import Bench, assert_nothing_left, healthy, shell


async def test_a_sandbox_runs_commands_and_leaves_nothing(bench: Bench) -> None:
    async with bench.sandbox() as sandbox:
        await healthy(sandbox)
        result = await shell(sandbox, "echo hello; echo trouble >&2; exit 3")
        assert "hello" in result.output
        assert "trouble" in result.output
        assert result.exit_code == 3
        assert await bench.driver.sandboxes() == {sandbox.container_id}
        assert await sandbox.oom_kills() == 0


async def test_create_again_returns_the_one_that_lives(bench: Bench) -> None:
    async with bench.sandbox() as sandbox:
        again = await bench.driver.create(bench.spec(container_id=sandbox.container_id))
        assert again.handle == sandbox.handle
        await healthy(again)
        again.close()


async def test_create_replaces_what_is_dead(bench: Bench) -> None:
    async with bench.sandbox() as sandbox:
        _kill(sandbox.handle)
        async with asyncio.timeout(10):
            await sandbox.wait()
        again = await bench.driver.create(bench.spec(container_id=sandbox.container_id))
        assert again.handle != sandbox.handle
        await healthy(again)
        again.close()


async def test_recover_finds_it_after_the_view_is_gone(bench: Bench) -> None:
    async with bench.sandbox() as sandbox:
        handle = json.loads(json.dumps(dict(sandbox.handle)))
        sandbox.close()
        sandbox.close()
        found = await bench.driver.recover(sandbox.container_id, handle)
        assert (await shell(found, "echo alive")).output == "alive\n"
        found.close()


async def test_recover_of_what_does_not_run_says_so(bench: Bench) -> None:
    with pytest.raises(SandboxGone):
        await bench.driver.recover(new_id(CONTAINER), {})
    async with bench.sandbox() as sandbox:
        with pytest.raises(SandboxGone):
            await bench.driver.recover(sandbox.container_id, {**sandbox.handle, "start_time": 1})
        _kill(sandbox.handle)
        await sandbox.wait()
        with pytest.raises(SandboxGone):
            await bench.driver.recover(sandbox.container_id, sandbox.handle)


async def test_destroy_of_what_is_not_there_is_no_error(bench: Bench) -> None:
    await bench.driver.destroy(new_id(CONTAINER))


@pytest.mark.parametrize("name", ["", "..", "cnt_../../../../../../etc", "cnt_0123456789abcdefghjk/", "guest"])
async def test_only_ids_reach_the_host(bench: Bench, name: str) -> None:
    for verb in (bench.driver.destroy(name), bench.driver.recover(name, {})):
        with pytest.raises(CognitoraError):
            await verb


async def test_wait_tells_the_end_and_can_be_cancelled(bench: Bench) -> None:
    async with bench.sandbox() as sandbox:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sandbox.wait()
        await healthy(sandbox)
        _kill(sandbox.handle)
        async with asyncio.timeout(10):
            ends = await asyncio.gather(sandbox.wait(), sandbox.wait())
        assert not any(end.oom for end in ends)
        assert all(end.detail for end in ends)


async def test_background_processes_end_with_the_sandbox(bench: Bench) -> None:
    async with bench.sandbox() as sandbox:
        await shell(sandbox, "sleep 1000 & setsid sleep 1000 & (trap '' TERM HUP; setsid sleep 1000) & echo")


async def test_many_at_once(bench: Bench) -> None:
    specs = [bench.spec() for _ in range(6)]
    sandboxes = await asyncio.gather(*(bench.driver.create(spec) for spec in specs))
    assert await bench.driver.sandboxes() == {spec.container_id for spec in specs}
    results = await asyncio.gather(*(shell(sandbox, "echo $((6 * 7))") for sandbox in sandboxes))
    assert {result.output for result in results} == {"42\n"}
    for sandbox in sandboxes:
        sandbox.close()
    await asyncio.gather(*(bench.driver.destroy(spec.container_id) for spec in specs))
    for spec in specs:
        await assert_nothing_left(spec.container_id)


async def test_large_files_come_through_the_inbox(bench: Bench) -> None:
    async with bench.sandbox() as sandbox:
        assert sandbox.inbox is not None
        (Path(sandbox.inbox) / "data").write_text("from the host")
        assert await bench.import_file(sandbox, "data", "/tmp/cognitora-contract-test/data") == "from the host"


def _kill(handle: Mapping[str, object]) -> None:
    """End the sandbox from outside, as a crash would."""
    pid = handle["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
