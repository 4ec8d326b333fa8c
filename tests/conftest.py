"""Fixtures that several folders share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers import Api, RunningServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A real server with the isolation that it chooses itself, shared by the tests that leave it as it was."""
    if os.geteuid() != 0:
        pytest.skip("sandboxes need root")
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running
        running.end_all_containers()
        running.wait_until_clean()


@pytest.fixture
def api(server: RunningServer) -> Iterator[Api]:
    """A client of the shared server."""
    with server.client() as client:
        yield client
