"""A server that pulls its images from a registry of the tests' own, and users of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cognitora_server.host.images.podman import default_run_root
from cognitora_server.host.mounts import unmount_below
from tests.examples.registries import fill, registries_conf
from tests.examples.users import User
from tests.registry import Registry
from tests.servers import Api, RunningServer


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[Registry]:
    """A registry that holds the images of the examples."""
    made = Registry(tmp_path_factory.mktemp("registry") / "r")
    fill(made, images)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[RunningServer]:
    """A server without an image; it says that its host has room for what the examples ask for."""
    place = tmp_path_factory.mktemp("examples")
    (place / "registries.conf").write_text(registries_conf(registry))
    environment = {
        "COGNITORA_STORAGE_ROOT": str(place / "storage"),
        "COGNITORA_REGISTRIES_CONF": str(place / "registries.conf"),
        "COGNITORA_HOST_CPU_CORES": "4",
        "COGNITORA_HOST_MEMORY_MB": "32768",
    }
    with RunningServer(place / "server", environment=environment) as running:
        yield running
        running.end_all_containers()
        running.wait_until_clean()
    unmount_below(place)
    shutil.rmtree(place / "storage")
    shutil.rmtree(default_run_root(place / "storage"))


@pytest.fixture(scope="session")
def api(server: RunningServer) -> Iterator[Api]:
    """What prepares the examples, and looks at what became of them."""
    with server.client() as client:
        yield client


@pytest.fixture(scope="session")
def user(server: RunningServer) -> User:
    """Who runs the examples."""
    return User(server.base_url, server.api_key)
