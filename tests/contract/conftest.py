"""Fixtures for tests of drivers. They start no server."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from cognitora_server.domain.containers import Isolation
from cognitora_server.domain.images import ImageError
from cognitora_server.drivers.base import Probe
from cognitora_server.drivers.oci.choices import Choice
from cognitora_server.drivers.oci.container import ContainerDriver
from cognitora_server.drivers.oci.trials import EmptyRootfs
from cognitora_server.host.images import ImageSettings, ImageStore, Rootfs
from cognitora_server.host.mounts import unmount_below

from .harness import Bench, Case, cases

_IMAGE = "docker.io/library/python:3.11-slim"


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    """A folder whose parents other users can pass through, as they can through /var/lib; pytest's are closed."""
    path = Path(tempfile.mkdtemp(prefix="cognitora-test-"))
    yield path
    unmount_below(path)
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def probes(data_dir: Path) -> dict[str, tuple[Probe, Choice | None]]:
    """What each driver found out about this host. Found once: it takes seconds."""

    async def probe(case: Case) -> tuple[Probe, Choice | None]:
        driver = case.driver(data_dir, EmptyRootfs(data_dir / "empty"))
        probe = await driver.probe()
        return probe, driver.choice if isinstance(driver, ContainerDriver) else None

    return {case.name: asyncio.run(probe(case)) for case in cases() if os.geteuid() == 0 or not case.real}


@pytest.fixture(params=cases(), ids=lambda case: case.name)
def case(request: pytest.FixtureRequest, probes: dict[str, tuple[Probe, Choice | None]]) -> Case:
    """Each driver that works on this host."""
    found: Case = request.param
    if found.name not in probes:
        pytest.skip("sandboxes need root")
    probe, _ = probes[found.name]
    if not probe.available:
        # gVisor must work wherever these tests run as root; of crun and runc one is enough.
        assert found.isolation is not Isolation.GVISOR, probe.problem
        pytest.skip(probe.problem)
    return found


@pytest_asyncio.fixture
async def bench(case: Case, data_dir: Path, probes: dict[str, tuple[Probe, Choice | None]]) -> AsyncIterator[Bench]:
    """A started driver, with an image that has Python."""
    settings = ImageSettings(data_dir=data_dir)
    store = ImageStore(settings)
    try:
        image = await store.find(_IMAGE)
    except ImageError:
        pytest.skip(f"there is no image {_IMAGE}: 'cognitora images bootstrap --stand-ins python' makes it")
    driver = case.driver(data_dir, Rootfs(settings, store), probes[case.name][1])
    await driver.start()
    yield Bench(case, driver, image)
    assert not await driver.sandboxes()
    await driver.stop()


@pytest.fixture
def real(bench: Bench) -> Bench:
    """The same, but only drivers that isolate and limit."""
    if not bench.case.real:
        pytest.skip("the fake isolates and limits nothing")
    return bench
