"""The published client, or our own, against a real server: each check is one story, run by name.

Run by the interpreter that has the client (`cognitora` 1.6.1 is not installed beside the server):
`published_client.py BASE_URL KEY CHECK VERSION`. What our own does otherwise stands in `cancelled`, `wrong_key` and
`instant`, and nowhere else.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

IMAGE = "docker.io/library/python:3.11-slim"
SMALL: dict[str, Any] = {"image": IMAGE, "cpu_cores": 0.5, "memory_mb": 256, "max_cost_credits": 10}
STATES = {"QUEUED", "STARTING", "RUNNING", "IDLE", "COMPLETED", "FAILED", "CANCELLED", "TERMINATED", "TIMEOUT"}

published: Any = importlib.import_module("cognitora")
OURS = published.__version__ != "1.6.1"


def the_issues_lines(base_url: str, key: str) -> None:
    """What the first issue promises, line by line."""
    Cognitora, FileUpload = published.Cognitora, published.FileUpload
    client = Cognitora(api_key=key, base_url=base_url)
    c = client.containers.create_persistent_container(image="docker.io/library/python:3.11-slim", cpu_cores=1, memory_mb=512, max_cost_credits=10)  # fmt: skip # noqa: E501
    result = client.containers.execute_in_container(c.id, ["python3", "app.py"], files=[FileUpload("app.py", "print('from a file')")], working_directory="/workspace")  # fmt: skip # noqa: E501
    logs = client.containers.run_and_wait(image=IMAGE, command=["python", "-c", "print('hi')"], cpu_cores=1, memory_mb=512, max_cost_credits=10)["logs"]  # fmt: skip # noqa: E501
    cancelled(client.containers.cancel_container(c.id))
    assert result.output == "from a file\n"
    assert logs == "hi\n"


def a_one_shot_container(base_url: str, key: str) -> None:
    """create_container, get_container, wait_for_completion, get_container_logs, list_containers."""
    containers = published.Cognitora(api_key=key, base_url=base_url).containers
    script = "import os, sys; print(os.environ['WORD'], flush=True); print('no', file=sys.stderr)"
    command = ["python", "-c", script]
    expires = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    created = containers.create_container(
        **SMALL,
        command=command,
        environment={"WORD": "yes"},
        timeout_seconds=60,
        expires_at=expires,
        storage_gb=1,
        gpu_count=0,
        networking=False,
    )
    is_execution(created, command)
    seen = containers.get_container(created.id)
    is_execution(seen, command)
    ended = containers.wait_for_completion(created.id, timeout_seconds=60, poll_interval=1)
    assert ended.status == "COMPLETED", ended
    instant(ended.completed_at)
    assert 0 <= ended.actual_cost_credits <= 10
    assert sorted(containers.get_container_logs(created.id).splitlines()) == ["no", "yes"]
    for status in (None, "COMPLETED", "completed"):
        listed = containers.list_containers(limit=100, offset=0, status=status)
        assert created.id in [item.id for item in listed]
        for item in listed:
            assert item.status in STATES
    assert len(containers.list_containers(limit=1)) == 1
    assert created.id not in [item.id for item in containers.list_containers(status="RUNNING")]


def running_and_waiting(base_url: str, key: str) -> None:
    """run_and_wait, for a command that fails."""
    containers = published.Cognitora(api_key=key, base_url=base_url).containers
    result = containers.run_and_wait(
        **SMALL,
        command=["sh", "-c", "echo $WORD; exit 3"],
        environment={"WORD": "bad"},
        timeout_seconds=60,
        storage_gb=1,
        gpu_count=0,
    )
    assert (result["execution"].status, result["logs"]) == ("FAILED", "bad\n")


def a_persistent_container(base_url: str, key: str) -> None:
    """create_persistent_container, execute_in_container, upload_files, update_container, the executions, cancel."""
    containers = published.Cognitora(api_key=key, base_url=base_url).containers
    upload = published.FileUpload
    created = containers.create_persistent_container(
        **SMALL, timeout_seconds=600, environment={"BASE": "b"}, storage_gb=1, networking=False
    )
    assert created.persistent is True
    assert created.timeout_seconds == 600
    instant(created.expires_at)
    assert created.resources == published.ExecutionResources(cpu_cores=0.5, memory_mb=256, storage_gb=1, gpu_count=0)
    try:
        first = containers.execute_in_container(
            created.id,
            ["sh", "-c", "cat text; wc -c <sub/bytes; echo $BASE$OWN; pwd; echo err >&2; exit 3"],
            files=[
                upload(name="text", content="é\n"),
                upload(name="sub/bytes", content=base64.b64encode(bytes(range(256))).decode(), encoding="base64"),
            ],
            timeout_seconds=30,
            working_directory="/workspace",
            environment={"OWN": "o"},
        )
        assert sorted(first.output.split()) == sorted(["é", "256", "bo", "/workspace", "err"]), first.output
        assert (first.container_id, first.files_uploaded) == (created.id, 2)
        assert first.command[0] == "sh"
        instant(first.executed_at)
        uploaded = containers.upload_files(created.id, [upload("/workspace/more", "kept")])
        assert (uploaded.output, uploaded.files_uploaded) == ("Files uploaded successfully\n", 1)
        kept = containers.execute_in_container(created.id, ["cat", "text", "more"], working_directory="/workspace")
        assert kept.output == "é\nkept"
        deadlines(containers, created.id)
        executions(containers, created.id)
    finally:
        cancelled(containers.cancel_container(created.id))
    assert containers.get_container(created.id).status == "CANCELLED"
    cancelled(containers.cancel_container(created.id))
    refused(409, lambda: containers.execute_in_container(created.id, ["true"]), "ended")


def deadlines(containers: Any, container_id: str) -> None:
    """update_container, both ways."""
    updated = containers.update_container(container_id, timeout_seconds=1200)
    assert (updated.id, updated.timeout_seconds) == (container_id, 1200)
    assert updated.status in ("RUNNING", "IDLE")
    instant(updated.updated_at)
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    updated = containers.update_container(container_id, expires_at=expires.isoformat())
    assert instant(updated.expires_at) == expires


def executions(containers: Any, container_id: str) -> None:
    """get_container_executions, list_all_container_executions, get_container_execution, and one as a container."""
    mine = [item for item in containers.get_container_executions(container_id) if not item["main"]]
    assert len(mine) == 3
    assert {item["exit_code"] for item in mine} == {0, 3}
    everyones = containers.list_all_container_executions(limit=100, offset=0)
    assert {item["id"] for item in mine} <= {item["id"] for item in everyones}
    assert containers.list_all_container_executions(limit=50, status="running") == []
    for item in mine:
        details = containers.get_container_execution(item["id"])
        assert details["output"] == item["output"]
        assert details["container_id"] == container_id
        for name in ("status", "image", "command", "runtime_seconds", "networking", "exit_code", "error_message"):
            assert name in details
        seen = containers.get_container(item["id"])
        assert (seen.id, seen.command) == (item["id"], item["command"])


def estimates(base_url: str, key: str) -> None:
    """estimate_cost, with the documentation's numbers."""
    containers = published.Cognitora(api_key=key, base_url=base_url).containers
    estimate = containers.estimate_cost(cpu_cores=8.0, memory_mb=32768, storage_gb=100, timeout_seconds=7200)
    assert abs(estimate["estimated_credits"] - 66.0) < 1e-6
    assert set(estimate["breakdown"]) == {"cpu", "memory", "storage", "gpu"}


def errors(base_url: str, key: str) -> None:
    """What the client makes of our errors."""
    wrong = published.Cognitora(api_key="cgk_wrong", base_url=base_url).containers
    for call in (wrong.list_containers, lambda: wrong.create_container(**SMALL), lambda: wrong.get_container("x")):
        try:
            call()
        except published.AuthenticationError as error:
            wrong_key(error)
        else:
            raise AssertionError("a wrong key was accepted")
    containers = published.Cognitora(api_key=key, base_url=base_url).containers
    for container_id in ("cnt_" + "0" * 20, "cnt_abc123def456", "exec_xyz789abc123", "container_123456"):
        not_found(containers, container_id)
    refused(422, lambda: containers.create_container(**{**SMALL, "memory_mb": 1}), "memoryMb must be at least 64")
    refused(422, lambda: containers.create_container(**{**SMALL, "image": "NOT AN IMAGE"}), "image name")
    refused(422, lambda: containers.create_container(**SMALL, gpu_count=1), "gpuCount")
    refused(422, lambda: containers.create_container(**{**SMALL, "cpu_cores": 1000}), "cpuCores")
    refused(422, lambda: containers.list_containers(status="sleeping"), "must be one of QUEUED")
    refused(422, lambda: containers.list_containers(limit=1000), "at most 100")


def not_found(containers: Any, container_id: str) -> None:
    """Expect 404, with the id in the text, of everything that takes one."""
    refused(404, lambda: containers.get_container(container_id), container_id)
    refused(404, lambda: containers.cancel_container(container_id), container_id)
    refused(404, lambda: containers.get_container_logs(container_id), container_id)
    refused(404, lambda: containers.get_container_executions(container_id), container_id)
    refused(404, lambda: containers.execute_in_container(container_id, ["true"]), container_id)
    refused(404, lambda: containers.get_container_execution(container_id), container_id)
    refused(404, lambda: containers.update_container(container_id, timeout_seconds=5), container_id)


def refused(status: int, call: Callable[[], Any], said: str) -> None:
    """Expect APIError with this status and this in its text."""
    try:
        call()
    except published.APIError as error:
        assert error.status_code == status, (status, error, error.status_code)
        assert said in str(error), (said, str(error))
        assert error.response_data["error"] == str(error)
        assert error.response_data["code"]
    else:
        raise AssertionError(f"no error {status}")


def the_async_client(base_url: str, key: str) -> None:
    """Every method of AsyncContainers, and the async errors."""
    asyncio.run(_async_client(base_url, key))


async def _async_client(base_url: str, key: str) -> None:
    word = uuid.uuid4().hex
    async with published.CognitoraAsync(key, base_url) as client:
        command = ["sh", "-c", "echo $WORD; sleep 60"]
        created = await client.containers.create_container(
            **SMALL, command=command, environment={"WORD": word}, timeout_seconds=120, storage_gb=1, gpu_count=0
        )
        is_execution(created, command)
        for _ in range(300):
            seen = await client.containers.get_container(created.id)
            if await client.containers.get_container_logs(created.id):
                break
            await asyncio.sleep(0.1)
        assert seen.status == "RUNNING", seen
        assert await client.containers.get_container_logs(created.id) == f"{word}\n"
        listed = await client.containers.list_containers(limit=10, offset=0, status="running")
        assert created.id in [item.id for item in listed]
        cancelled(await client.containers.cancel_container(created.id))
        assert (await client.containers.get_container(created.id)).status == "CANCELLED"
        try:
            await client.containers.get_container("cnt_abc123def456")
        except published.APIError as error:
            assert (error.status_code, "cnt_abc123def456" in str(error)) == (404, True)
        else:
            raise AssertionError("no error 404")
    async with await published.Cognitora(api_key="cgk_wrong", base_url=base_url).async_client() as client:
        try:
            await client.containers.list_containers()
        except published.AuthenticationError:
            return
        raise AssertionError("a wrong key was accepted")


def is_execution(execution: Any, command: list[str]) -> None:
    """Check everything the client takes from a container."""
    assert execution.id.startswith("cnt_")
    assert execution.status in STATES
    assert (execution.image, execution.command) == (IMAGE, command)
    assert execution.resources == published.ExecutionResources(cpu_cores=0.5, memory_mb=256, storage_gb=1, gpu_count=0)
    assert execution.max_cost_credits == 10
    instant(execution.created_at)


def instant(moment: str | datetime) -> datetime:
    """Read a time of ours; our own client has read it already."""
    if OURS:
        assert isinstance(moment, datetime)
        return moment
    assert isinstance(moment, str)
    return datetime.fromisoformat(moment.replace("Z", "+00:00"))


def cancelled(result: Any) -> None:
    """Check what a cancel returns: the published client's says True, our own what became of it."""
    assert result.message if OURS else result is True


def wrong_key(error: Any) -> None:
    """Check what a wrong key is told: by our own client what the server says."""
    assert ("key" in str(error) and error.status_code == 401) if OURS else str(error) == "Invalid API key"


CHECKS: dict[str, Callable[[str, str], None]] = {
    check.__name__: check
    for check in (
        the_issues_lines,
        a_one_shot_container,
        running_and_waiting,
        a_persistent_container,
        estimates,
        errors,
        the_async_client,
    )
}


if __name__ == "__main__":
    assert published.__version__ == sys.argv[4]
    CHECKS[sys.argv[3]](sys.argv[1], sys.argv[2])
    print("passed")
