"""Fixtures that several folders share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import COGNITORA, STORAGE, Api, RunningServer


@pytest.fixture(scope="session")
def images() -> Path:
    """An image storage of the tests' own, kept between runs, with the images that they use."""
    if os.geteuid() != 0:
        pytest.skip("sandboxes need root")
    command = [str(COGNITORA), "images", "bootstrap", "python", "debian", "--stand-ins"]
    environment = {**os.environ, **STORAGE}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stderr
    return Path(STORAGE["COGNITORA_STORAGE_ROOT"])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[RunningServer]:
    """A real server with the isolation that it chooses itself, shared by the tests that leave it as it was."""
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running
        running.end_all_containers()
        running.wait_until_clean()


@pytest.fixture
def api(server: RunningServer) -> Iterator[Api]:
    """A client of the shared server."""
    with server.client() as client:
        yield client
