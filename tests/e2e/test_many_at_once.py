"""Two hundred at once on a host with room for twenty, killed on the way: all run, in order, none twice, none lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.servers import PYTHON_IMAGE, Api, RunningServer

COUNT = 200
ROOM = 20
STARTS = 4

ENVIRONMENT = {"COGNITORA_MAX_CONTAINERS": str(ROOM), "COGNITORA_CONCURRENT_STARTS": str(STARTS)}


@pytest.fixture
def narrow(tmp_path: Path, images: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data", environment=ENVIRONMENT) as server:
        yield server
        server.end_all_containers()
        server.wait_until_clean()


def a_body(number: int) -> dict[str, Any]:
    return {
        "image": PYTHON_IMAGE,
        "cpuCores": 0.5,
        "memoryMb": 128,
        "storageGb": 1,
        "maxCostCredits": 5,
        "command": ["echo", f"number {number}"],
        "metadata": {"number": str(number)},
    }


async def post_all(server: RunningServer, numbers: range, key: str | None = None) -> dict[int, str]:
    """Create all of them at the same time, each with its own Idempotency-Key; return the ids that were answered."""
    headers = {"Authorization": f"Bearer {key or server.api_key}"}
    limits = httpx.Limits(max_connections=len(numbers))
    url = f"{server.base_url}/api/v1/compute/containers"
    async with httpx.AsyncClient(headers=headers, limits=limits, timeout=120) as client:

        async def post(number: int) -> str | None:
            try:
                answer = await client.post(url, json=a_body(number), headers={"Idempotency-Key": f"number-{number}"})
            except httpx.TransportError:
                return None
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

        ids = await asyncio.gather(*map(post, numbers))
    return {number: found for number, found in zip(numbers, ids, strict=True) if found is not None}


def all_containers(server: RunningServer) -> list[dict[str, Any]]:
    with server.client() as api:
        pages = [api.get("/containers", params={"limit": 100, "offset": offset}).json() for offset in (0, 100, 200)]
    return [container for page in pages for container in page["data"]]


def wait_until_ended(server: RunningServer, count: int) -> None:
    deadline = time.monotonic() + 300
    with server.client() as api:
        while time.monotonic() < deadline:
            assert _total(api, "RUNNING") <= ROOM
            if _total(api, "COMPLETED") >= count:
                return
            time.sleep(0.2)
        raise AssertionError({status: _total(api, status) for status in ("QUEUED", "STARTING", "RUNNING", "FAILED")})


def _total(api: Api, status: str) -> int:
    return int(api.get("/containers", params={"status": status, "limit": 1}).json()["total"])


@pytest.mark.timeout(600)
def test_two_hundred_at_once_and_two_crashes(narrow: RunningServer) -> None:
    answered = asyncio.run(killed_when_half_are_in(narrow))
    narrow.start()
    ids = asyncio.run(post_all(narrow, range(COUNT)))
    assert len(set(ids.values())) == COUNT
    assert answered.items() <= ids.items()
    wait_until_ended(narrow, COUNT // 2)
    narrow.kill()
    narrow.start()
    assert asyncio.run(post_all(narrow, range(COUNT))) == ids
    wait_until_ended(narrow, COUNT)
    containers = all_containers(narrow)
    assert sorted(container["id"] for container in containers) == sorted(ids.values())
    assert_each_ran_once(narrow, containers)
    assert_in_order(containers)


def test_an_account_that_queues_many_does_not_make_another_wait(tmp_path: Path, images: Path) -> None:
    with RunningServer(tmp_path / "data", environment={"COGNITORA_MAX_CONTAINERS": "2"}) as server:
        with server.client() as many, server.client(server.new_key("second", "other")) as single:
            holding = [many.create(command=["sleep", "600"])["id"] for _ in range(2)]
            waiting = [many.post("/containers", json=a_body(number)).json() for number in range(6)]
            assert [one["queuePosition"] for one in waiting] == [1, 2, 3, 4, 5, 6]
            other = single.post("/containers", json=a_body(6)).json()
            assert (other["status"], other["queuePosition"]) == ("QUEUED", 1)
            assert many.container(waiting[0]["id"])["queuePosition"] == 2
            many.delete(f"/containers/{holding[0]}")
            started = [many.ended(one["id"])["startedAt"] for one in waiting]
            in_order = [single.container(other["id"])["startedAt"], *started]
            assert in_order == sorted(in_order)
            many.delete(f"/containers/{holding[1]}")
        server.wait_until_clean()


async def killed_when_half_are_in(server: RunningServer) -> dict[int, str]:
    posting = asyncio.create_task(post_all(server, range(COUNT)))
    while len(server.container_ids()) < COUNT // 2:
        await asyncio.sleep(0.005)
    server.kill()
    return await posting


def assert_each_ran_once(server: RunningServer, containers: list[dict[str, Any]]) -> None:
    with server.client() as api:
        for container in containers:
            assert (container["status"], container["exitCode"]) == ("COMPLETED", 0), container
            listed = api.get(f"/containers/{container['id']}/executions").json()["executions"]
            assert [one["output"] for one in listed] == [f"number {container['metadata']['number']}\n"]


def assert_in_order(containers: list[dict[str, Any]]) -> None:
    """`containers` come newest first. Only those that start at the same time may pass each other."""
    accepted = [container["id"] for container in reversed(containers)]
    started = [container["id"] for container in sorted(reversed(containers), key=lambda one: str(one["startedAt"]))]
    moved = [started.index(identity) - place for place, identity in enumerate(accepted)]
    assert max(map(abs, moved)) < ROOM, moved
