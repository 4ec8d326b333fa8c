"""The server is killed in the middle of everything; the next one finds its containers again and leaves nothing else."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.servers import PYTHON_IMAGE, RunningServer


@pytest.fixture
def crashing(tmp_path: Path, images: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data") as server:
        yield server
        server.end_all_containers()
        server.wait_until_clean()


def restart(server: RunningServer) -> None:
    server.kill()
    server.start()


def test_containers_that_ran_still_run_and_answer(crashing: RunningServer) -> None:
    with crashing.client() as api:
        container = api.create(command=["sh", "-c", "echo main; sleep 600"])
        api.exec(container["id"], "sh", "-c", "echo kept > /kept; sleep 600 >/dev/null 2>&1 &")
    restart(crashing)
    with crashing.client() as api:
        assert api.container(container["id"])["status"] == "RUNNING"
        assert api.exec(container["id"], "cat", "/kept")["output"] == "kept\n"
        assert "sleep" in api.exec(container["id"], "sh", "-c", "cat /proc/[0-9]*/cmdline")["output"]
        assert api.get(f"/containers/{container['id']}/logs").json()["logs"] == "main\n"


def test_an_exec_that_was_running_is_finished_and_recorded(crashing: RunningServer) -> None:
    with crashing.client() as api:
        container = api.create()
        api.exec(container["id"], "true")
        running = threading.Thread(
            target=_ignore_errors, args=(api.exec, container["id"], "sh", "-c", "sleep 3; echo late")
        )
        running.start()
        time.sleep(1)
        restart(crashing)
        running.join()
    with crashing.client() as api:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = api.get(f"/containers/{container['id']}/executions").json()["executions"]
            late = next(execution for execution in found if "late" in str(execution["command"]))
            if late["status"] != "running":
                break
            time.sleep(0.1)
        assert (late["status"], late["output"]) == ("completed", "late\n")


def test_an_exec_with_a_key_is_run_once_though_the_server_was_killed(crashing: RunningServer) -> None:
    with crashing.client() as api:
        container = api.create(command=["sleep", "600"])
        api.exec(container["id"], "true")
    request = functools.partial(_exec_with_key, crashing, container["id"])
    running = threading.Thread(target=_ignore_errors, args=(request,))
    running.start()
    with crashing.client() as api:
        while not api.exec(container["id"], "sh", "-c", "cat /count 2>/dev/null || true")["output"]:
            time.sleep(0.05)
    restart(crashing)
    running.join()
    answers = [request(), request()]
    assert [(one["output"], one["exitCode"]) for one in answers] == [("done\n", 0)] * 2
    with crashing.client() as api:
        assert api.exec(container["id"], "cat", "/count")["output"] == "once\n"


def _exec_with_key(server: RunningServer, container_id: str) -> dict[str, Any]:
    body = {"command": ["sh", "-c", "echo once >> /count; sleep 3; echo done"]}
    with server.client() as api:
        answer = api.post(f"/containers/{container_id}/exec", json=body, headers={"Idempotency-Key": "once"})
    return dict(answer.json())


def test_a_one_shot_that_ended_while_the_server_was_down_is_settled(crashing: RunningServer) -> None:
    with crashing.client() as api:
        container = api.create(persistent=False, command=["sh", "-c", "sleep 2; echo done"])
        api.until(container["id"], "RUNNING")
    crashing.kill()
    time.sleep(3)
    crashing.start()
    with crashing.client() as api:
        ended = api.ended(container["id"])
        assert (ended["status"], ended["exitCode"]) == ("COMPLETED", 0)
        assert api.get(f"/containers/{container['id']}/logs").json()["logs"] == "done\n"


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.06, 0.1, 0.15, 0.25])
def test_killed_in_the_middle_of_create(crashing: RunningServer, delay: float) -> None:
    bodies = [_body(persistent=True), _body(persistent=False, command=["echo", "hi"])]
    with crashing.client() as api:
        created = [api.post("/containers", json=body).json()["id"] for body in bodies]
    time.sleep(delay)
    restart(crashing)
    with crashing.client() as api:
        assert api.exec(created[0], "echo", "alive")["output"] == "alive\n"
        assert api.ended(created[1])["status"] == "COMPLETED"
        api.delete(f"/containers/{created[0]}")
    crashing.wait_until_clean()


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.06])
def test_killed_in_the_middle_of_delete(crashing: RunningServer, delay: float) -> None:
    with crashing.client() as api:
        container = api.create()
        api.exec(container["id"], "true")
        deleting = threading.Thread(target=_ignore_errors, args=(api.delete, f"/containers/{container['id']}"))
        deleting.start()
        time.sleep(delay)
        restart(crashing)
        deleting.join()
    with crashing.client() as api:
        status = api.container(container["id"])["status"]
        if status == "RUNNING":  # the wish had not been written down yet: the client was told nothing
            api.delete(f"/containers/{container['id']}")
        assert api.ended(container["id"])["reason"] == "user"
    crashing.wait_until_clean()


def test_a_sandbox_that_died_while_the_server_was_down_ends_with_a_reason(crashing: RunningServer) -> None:
    with crashing.client() as api:
        container = api.create()
        api.exec(container["id"], "true")
    crashing.kill()
    _kill_sandbox(container["id"])
    crashing.start()
    with crashing.client() as api:
        ended = api.ended(container["id"])
        assert (ended["status"], ended["reason"]) == ("FAILED", "host")
        assert ended["errorMessage"]
    crashing.wait_until_clean()


def _body(**fields: object) -> dict[str, object]:
    return {"image": PYTHON_IMAGE, "cpuCores": 1, "memoryMb": 256, "storageGb": 1, "maxCostCredits": 5} | fields


def _ignore_errors(call: Callable[..., object], *arguments: object) -> None:
    with contextlib.suppress(httpx.HTTPError, AssertionError):
        call(*arguments)


def _kill_sandbox(container_id: str) -> None:
    groups = list(Path("/sys/fs/cgroup").glob(f"**/{container_id}/**/cgroup.procs"))
    assert groups
    for group in groups:
        for pid in group.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
