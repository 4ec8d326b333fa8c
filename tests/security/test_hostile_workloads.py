"""What a hostile workload does to its own container. The server and the neighbours go on; the end says why.

Everything here runs inside containers whose limits the server enforces.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from tests.servers import Api, RunningServer


@pytest.fixture
def neighbour(api: Api) -> Iterator[str]:
    """A container that must notice nothing."""
    container = api.create(memoryMb=256)
    api.exec(container["id"], "true")
    yield container["id"]
    assert api.exec(container["id"], "echo", "well")["output"] == "well\n"
    api.delete(f"/containers/{container['id']}")


def run(api: Api, container_id: str, script: str, **fields: object) -> httpx.Response:
    return api.post(f"/containers/{container_id}/exec", json={"command": ["sh", "-c", script], **fields})


def test_a_fork_bomb(server: RunningServer, api: Api, neighbour: str) -> None:
    container = api.create(memoryMb=512)
    bomb = "import os, time\nwhile True:\n  try:\n    os.fork()\n  except OSError:\n    time.sleep(0.1)"
    answer = api.post(
        f"/containers/{container['id']}/exec", json={"command": ["python3", "-c", bomb], "timeout_seconds": 5}
    )
    ended = api.container(container["id"])
    if answer.status_code == 200:
        assert answer.json()["status"] in ("timeout", "failed")
    if ended["status"] == "FAILED":
        assert ended["reason"] in ("oom", "guest")
        assert ended["errorMessage"]
    api.delete(f"/containers/{container['id']}")


def test_filling_memory(api: Api, neighbour: str) -> None:
    container = api.create(memoryMb=256)
    answer = run(api, container["id"], "python3 -c 'x=[bytearray(10**7) for _ in range(99)]'").json()
    assert "memory" in answer["errorMessage"].lower()
    api.delete(f"/containers/{container['id']}")


def test_filling_the_disk(api: Api, neighbour: str) -> None:
    container = api.create(storageGb=1)
    answer = run(api, container["id"], "head -c 1500000000 /dev/zero > /full; df / | tail -1; echo after").json()
    assert "No space left" in answer["output"]
    assert answer["output"].endswith("after\n")
    assert api.container(container["id"])["usage"]["diskBytes"] <= 1.1 * (1 << 30)
    api.delete(f"/containers/{container['id']}")


def test_writing_a_gigabyte_to_stdout(server: RunningServer, api: Api, neighbour: str) -> None:
    container = api.create()
    before = server.memory_bytes()
    answer = run(api, container["id"], "head -c 1000000000 /dev/zero").json()
    assert answer["exitCode"] == 0
    assert answer["truncated"]
    assert server.memory_bytes() - before < 200 << 20
    api.delete(f"/containers/{container['id']}")


def test_ignoring_sigterm(api: Api, neighbour: str) -> None:
    container = api.create()
    answer = run(api, container["id"], "trap '' TERM INT HUP; while :; do sleep 1; done", timeout_seconds=1).json()
    assert answer["exitCode"] == 124
    started = time.monotonic()
    assert api.delete(f"/containers/{container['id']}").json()["status"] == "CANCELLED"
    assert time.monotonic() - started < 10


def test_closing_and_replacing_the_agents_socket(api: Api, neighbour: str) -> None:
    container = api.create()
    script = (
        "rm -rf /.cognitora/sock/*; ln -s /etc/passwd /.cognitora/sock/agent.sock; "
        "for fd in /proc/1/fd/*; do rm -f $fd; (: > $fd); done 2>/dev/null; umount -a 2>/dev/null; echo tried"
    )
    assert "tried" in run(api, container["id"], script).json()["output"]
    assert api.exec(container["id"], "echo", "still here")["output"] == "still here\n"
    api.delete(f"/containers/{container['id']}")


def test_killing_everything_inside(api: Api, neighbour: str) -> None:
    container = api.create()
    run(api, container["id"], "kill -9 -1; kill -9 1; sleep 5", timeout_seconds=10)
    state = api.container(container["id"])
    if state["status"] not in ("RUNNING", "IDLE"):
        assert (state["status"], state["reason"]) == ("FAILED", "guest")
        assert state["errorMessage"]
    api.delete(f"/containers/{container['id']}")


@pytest.mark.parametrize(
    "name", ["../../../../../../tmp/escaped", "/proc/self/mem", "/dev/null", "/etc/passwd/x", "a" * 300, "/", "."]
)
def test_hostile_file_names(api: Api, neighbour: str, name: str) -> None:
    response = api.post(
        f"/containers/{neighbour}/exec",
        json={"command": ["true"], "files": [{"name": name, "content": "x"}], "workingDirectory": "/w"},
    )
    assert response.status_code in (200, 422), response.text
    if response.status_code == 422:
        assert response.json()["error"]


def test_nothing_of_the_host_is_seen(api: Api, neighbour: str) -> None:
    seen = api.exec(
        neighbour,
        "sh",
        "-c",
        "cat /proc/self/status | grep -E 'Cap(Eff|Bnd|Prm)|NoNewPrivs'; ls /dev; cat /proc/mounts",
    )["output"]
    lines = dict(line.split(":\t", 1) for line in seen.splitlines() if ":\t" in line)
    dangerous = 1 << 21 | 1 << 16 | 1 << 17 | 1 << 12 | 1 << 13 | 1 << 19 | 1 << 27  # SYS_ADMIN, modules, rawio, net, …
    assert int(lines["CapBnd"], 16) & dangerous == 0
    assert "vda" not in seen
    assert "/var/lib" not in seen
    refused = run(api, neighbour, "mount -t tmpfs none /mnt").json()
    assert refused["exitCode"] != 0
    offline = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    assert run(api, neighbour, f'python3 -c "{offline}"').json()["exitCode"] != 0
