"""Whatever interrupts a create, a destroy afterwards leaves nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cognitora_server.domain.errors import DriverError
from cognitora_server.domain.ids import CONTAINER, new_id
from cognitora_server.drivers.oci.gvisor import GvisorDriver
from cognitora_server.drivers.oci.trials import IMAGE, EmptyRootfs

from .harness import Bench, Case, assert_nothing_left, healthy

_DELAYS = (0.0, 0.003, 0.01, 0.03, 0.06, 0.09, 0.13)

# A server that is killed: it makes a sandbox as soon as it is told to, and says when it has begun.
_VICTIM = """
import asyncio, json, sys
from pathlib import Path
from tests.contract.harness import Bench, cases
from cognitora_server.drivers.oci.trials import EmptyRootfs, IMAGE as image

async def main(name, data_dir, container_id):
    data_dir = Path(data_dir)
    case = next(case for case in cases() if case.name == name)
    driver = case.driver(data_dir, EmptyRootfs(data_dir / "empty"))
    await driver.start()
    print("begun", flush=True)
    await driver.create(Bench(case, driver, image).spec(container_id=container_id))
    await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("delay", _DELAYS)
async def test_create_cancelled(bench: Bench, delay: float) -> None:
    spec = bench.spec()
    task = asyncio.create_task(bench.driver.create(spec))
    await asyncio.sleep(delay)
    task.cancel()
    try:
        (await task).close()
    except asyncio.CancelledError:
        await assert_nothing_left(spec.container_id)
    await bench.driver.destroy(spec.container_id)
    await assert_nothing_left(spec.container_id)


@pytest.mark.parametrize("delay", _DELAYS)
async def test_server_killed_in_the_middle_of_create(case: Case, data_dir: Path, delay: float) -> None:
    rootfs = EmptyRootfs(data_dir / "empty")
    rootfs.make()
    container_id = new_id(CONTAINER)
    victim = subprocess.Popen(
        [sys.executable, "-c", _VICTIM, case.name, str(data_dir), container_id],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert victim.stdout is not None
    assert await asyncio.to_thread(victim.stdout.readline) == b"begun\n"
    await asyncio.sleep(delay)
    victim.kill()
    victim.wait()
    victim.stdout.close()

    driver = case.driver(data_dir, rootfs)
    assert await driver.sandboxes() <= {container_id}
    await driver.destroy(container_id)
    await assert_nothing_left(container_id)
    assert container_id not in await driver.sandboxes()
    await driver.stop()


async def test_destroy_while_create_is_going_on(bench: Bench) -> None:
    spec = bench.spec()
    task = asyncio.create_task(bench.driver.create(spec))
    await asyncio.sleep(0.02)
    await bench.driver.destroy(spec.container_id)
    (await task).close()
    await bench.driver.destroy(spec.container_id)
    await assert_nothing_left(spec.container_id)


async def test_half_made_is_replaced(real: Bench, data_dir: Path) -> None:
    async with real.sandbox() as sandbox:
        # As if the server had been killed before the sandbox was whole.
        next(data_dir.glob(f"**/{sandbox.container_id}/handle.json")).unlink()
        again = await real.driver.create(real.spec(container_id=sandbox.container_id))
        assert again.handle != sandbox.handle
        await healthy(again)
        again.close()


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.1])
async def test_the_oci_runtime_is_killed(case: Case, data_dir: Path, tmp_path: Path, seconds: float) -> None:
    if not case.gvisor:
        pytest.skip("shown with gVisor, whose runtime takes longest")
    killed = tmp_path / "runsc"
    killed.write_text(f'#!/bin/sh\n"{case.program}" "$@" &\nsleep {seconds}\nkill -9 $!\nexit 1\n')
    killed.chmod(0o755)
    await _fails(Case(case.name, case.isolation, killed), data_dir)


async def test_a_failure_says_what_the_runtime_said_without_paths_of_the_host(case: Case, data_dir: Path) -> None:
    if not case.gvisor:
        pytest.skip("shown with gVisor")
    driver = case.driver(data_dir, EmptyRootfs(data_dir / "not-there"))
    assert isinstance(driver, GvisorDriver)
    message = await _fails_with(driver, case)
    assert "OCI runtime" in message
    assert str(data_dir / "sandboxes") not in message


async def _fails(case: Case, data_dir: Path) -> None:
    rootfs = EmptyRootfs(data_dir / "empty")
    rootfs.make()
    driver = case.driver(data_dir, rootfs)
    assert isinstance(driver, GvisorDriver)
    await _fails_with(driver, case)


async def _fails_with(driver: GvisorDriver, case: Case) -> str:
    await driver.start()
    spec = Bench(case, driver, IMAGE).spec()
    with pytest.raises(DriverError) as failure:
        await driver.create(spec)
    await assert_nothing_left(spec.container_id)
    assert spec.container_id not in await driver.sandboxes()
    await driver.stop()
    return failure.value.message
