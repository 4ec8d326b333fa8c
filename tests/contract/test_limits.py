"""What a sandbox may use is what it was given, and it sees that and not the host's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path

import pytest

from cognitora_server.domain.containers import GIB, MIB
from cognitora_server.domain.errors import GuestError, GuestUnreachable
from cognitora_server.domain.resources import Resources
from cognitora_server.drivers.base import Sandbox, SandboxExit
from cognitora_server.host.disks import disk_use

from .harness import Bench, Result, healthy, python, shell

_FILL_MEMORY = "data = []\nwhile True: data.append(b'x' * (8 << 20))"
_BOMB = "import os, time\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(0.2)"
_SH_BOMB = "bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done"
_BURN = "import time\nend = time.time() + 2\nwhile time.time() < end: pass"


async def test_it_sees_its_own_limits(real: Bench) -> None:
    async with real.sandbox(Resources(cpu_cores=0.5, memory_mb=320, storage_gb=1)) as sandbox:
        assert (await shell(sandbox, "nproc")).output == "1\n"
        total = (await shell(sandbox, "sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")).output
        assert int(total) == 320 * 1024


async def test_more_memory_than_it_has_is_killed_and_told(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        end, result = await _until_one_ends(sandbox, python(sandbox, _FILL_MEMORY))
        if end is None:
            assert result is not None
            assert result.exit_code != 0
            await healthy(sandbox)
        else:
            # The kernel chose gVisor itself.
            assert real.case.gvisor
            assert end.oom
            assert end.memory_limit_bytes == 256 * MIB
            assert 128 * MIB < end.memory_peak_bytes <= 257 * MIB
        assert await sandbox.oom_kills() > 0
        assert 128 * MIB < (await sandbox.usage()).memory_peak_bytes <= 257 * MIB


async def test_processor_time_is_bounded(real: Bench) -> None:
    async with real.sandbox(Resources(cpu_cores=0.5, memory_mb=256, storage_gb=1)) as sandbox:
        before, began = (await sandbox.usage()).cpu_seconds, time.monotonic()
        await asyncio.gather(*(python(sandbox, _BURN) for _ in range(3)))
        used, passed = (await sandbox.usage()).cpu_seconds - before, time.monotonic() - began
        assert 0.3 * passed < used < 0.6 * passed + 0.1


async def test_a_full_disk_is_no_space_left(real: Bench, data_dir: Path) -> None:
    async with real.sandbox() as sandbox:
        images = list(data_dir.glob(f"**/{sandbox.container_id}/disk.img"))
        full = await shell(sandbox, "dd if=/dev/zero of=/tmp/big bs=1M count=1200; rm /tmp/big", seconds=90)
        assert "No space left" in full.output
        assert images[0].stat().st_size == GIB
        assert disk_use(images[0]) <= GIB * 1.02
        assert (await shell(sandbox, "echo again > /root/file && cat /root/file")).output == "again\n"


async def test_deleted_data_is_given_back_to_the_host(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        await shell(sandbox, "dd if=/dev/zero of=/tmp/big bs=1M count=300; sync", seconds=60)
        most = await _settled_use(sandbox)
        assert most > 250 * MIB
        await shell(sandbox, "rm /tmp/big; sync")
        for _ in range(100):
            if (await sandbox.usage()).disk_bytes < most - 200 * MIB:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{(await sandbox.usage()).disk_bytes} of {most} bytes are still taken")


async def test_the_temporary_folder_takes_storage_and_not_memory(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        assert (await shell(sandbox, "dd if=/dev/zero of=/tmp/big bs=1M count=400", seconds=60)).exit_code == 0
        await healthy(sandbox)
        assert await sandbox.oom_kills() == 0


@pytest.mark.parametrize("interpreter", ["python", "sh"])
async def test_a_fork_bomb_is_bounded(real: Bench, interpreter: str) -> None:
    async with real.sandbox() as sandbox:
        bomb = python(sandbox, _BOMB, seconds=3) if interpreter == "python" else shell(sandbox, _SH_BOMB, seconds=3)
        end, result = await _until_one_ends(sandbox, bomb)
        if end is not None:
            # What processes cost in gVisor's own memory can be more than the sandbox has.
            assert real.case.gvisor
            assert end.oom, end.detail
            return
        assert result is not None
        await healthy(sandbox)
        assert (await _when_there_is_room(sandbox, "echo fine")).output == "fine\n"


async def _when_there_is_room(sandbox: Sandbox, script: str) -> Result:
    """Run `script`, again for some seconds: gVisor lets go of the threads of ended processes a moment late."""
    async with asyncio.timeout(15):
        while True:
            try:
                return await shell(sandbox, script)
            except GuestError as error:
                assert "limit of processes" in str(error)
            await asyncio.sleep(0.1)


async def _until_one_ends(
    sandbox: Sandbox, command: Coroutine[None, None, Result]
) -> tuple[SandboxExit | None, Result | None]:
    """Run a command; return the end of the sandbox, or the command's result if the sandbox outlives it."""
    running, gone = asyncio.create_task(command), asyncio.create_task(sandbox.wait())
    async with asyncio.timeout(60):
        await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
        try:
            result = await running
        except GuestUnreachable:
            return await gone, None
    gone.cancel()
    return None, result


async def _settled_use(sandbox: Sandbox) -> int:
    """Wait until the host's file has what was written; that comes some seconds later."""
    seen = -1
    for _ in range(80):
        now = (await sandbox.usage()).disk_bytes
        if now == seen and now > 250 * MIB:
            break
        seen = now
        await asyncio.sleep(0.25)
    return seen
