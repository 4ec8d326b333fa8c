"""A server that is killed and started again: who waits for it goes on waiting."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import SMALL
from tests.servers import RunningServer

from cognitora import Cognitora


@pytest.fixture
def own_server(tmp_path: Path, images: Path) -> Iterator[RunningServer]:
    """A server on a port that it keeps."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{chosen.getsockname()[1]}"
    with RunningServer(tmp_path, "--listen", listen) as running:
        yield running


def restart(server: RunningServer) -> None:
    server.kill()
    server.start()


def test_a_command_and_a_wait_outlive_the_server(own_server: RunningServer) -> None:
    # More tries than usual: a busy machine may take long to start a server.
    client = Cognitora(own_server.api_key, own_server.base_url, max_retries=20)
    with client, ThreadPoolExecutor() as threads:
        containers = client.containers
        container = containers.create_persistent_container(**SMALL)
        count = ["sh", "-c", "echo once >>/workspace/count; sleep 4; cat /workspace/count"]
        command = threads.submit(containers.execute_in_container, container.id, count, working_directory="/workspace")
        once = containers.create_container(**SMALL, command=["sleep", "4"])
        wait = threads.submit(containers.wait_for_completion, once.id, 60, 0.5)
        wait_until_running(containers, container.id, once.id)
        restart(own_server)
        assert command.result(60).output == "once\n"
        assert wait.result(60).status == "COMPLETED"
        containers.cancel_container(container.id)


def wait_until_running(containers: Any, container_id: str, once_id: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        commands = [
            item for item in containers.get_container_executions(container_id, status="running") if not item.main
        ]
        if commands and containers.get_container(once_id).status == "RUNNING":
            return
        time.sleep(0.1)
    raise AssertionError("nothing runs")
