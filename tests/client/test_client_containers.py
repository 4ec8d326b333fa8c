"""Every method of `containers`, sync and async, with a real server."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import SMALL

import cognitora


@pytest.fixture
def container(client: Any) -> Iterator[Any]:
    created = client.containers.create_persistent_container(**SMALL, environment={"BASE": "b"})
    yield created
    client.containers.cancel_container(created.id)


def test_a_one_shot_container(client: Any) -> None:
    command = ["python", "-c", "import os; print(os.environ['WORD'])"]
    expires = datetime.now(UTC) + timedelta(minutes=5)
    created = client.containers.create_container(
        **SMALL,
        max_cost_credits=10,
        command=command,
        environment={"WORD": "yes"},
        expires_at=expires,
        name="one",
        metadata={"test": "one-shot"},
        isolation="gvisor",
        networking=False,
    )
    assert isinstance(created, cognitora.Execution)
    assert (created.command, created.name, created.max_cost_credits) == (command, "one", 10)
    assert abs(created.expires_at - expires) < timedelta(seconds=1)
    ended = client.containers.wait_for_completion(created.id, 60, 1)
    assert (ended.status, ended.exit_code, ended.reason, ended.isolation) == ("COMPLETED", 0, "exit", "gvisor")
    seconds = (ended.completed_at - ended.started_at).total_seconds()
    assert ended.runtime_seconds == pytest.approx(seconds, abs=1)
    assert 0 < ended.actual_cost_credits < 10
    logs = client.containers.get_container_logs(created.id)
    assert (logs, logs.logs, logs["logs"]) == ("yes\n",) * 3
    listed = client.containers.list_containers(limit=10, status="completed", name="one", metadata={"test": "one-shot"})
    assert created.id in [item.id for item in listed]
    assert len(listed) == listed.total == len(listed.executions) == len(listed["executions"])
    assert client.containers.list_containers(container_type="SESSION") == []


def test_running_and_waiting(client: Any) -> None:
    result = client.containers.run_and_wait(**SMALL, command=["sh", "-c", "echo bad; exit 3"])
    assert (result.execution.status, result["execution"]["exit_code"]) == ("FAILED", 3)
    assert result["logs"] == result.logs.logs == "bad\n"


def test_a_command_that_outlives_its_container_is_a_result(client: Any) -> None:
    result = client.containers.run_and_wait(**SMALL, command=["sleep", "60"], timeout_seconds=1)
    assert (result.execution.status, result.execution.reason) == ("TIMEOUT", "timeout")


def test_waiting_ends(client: Any, container: Any) -> None:
    with pytest.raises(TimeoutError, match=r"it is (QUEUED|STARTING|RUNNING|IDLE)") as caught:
        client.containers.wait_for_completion(container.id, 0.2)
    assert isinstance(caught.value, cognitora.CognitoraError)


def test_commands_and_files(client: Any, container: Any, tmp_path: Path) -> None:
    containers = client.containers
    local = tmp_path / "local"
    local.write_bytes(bytes(range(256)))
    result = containers.execute_in_container(
        container.id,
        ["sh", "-c", "cat text; cat a b local | wc -c; echo $BASE$OWN; pwd; echo err >&2; exit 3"],
        files=[
            cognitora.FileUpload("text", "é\n"),
            {"name": "a", "content": base64.b64encode(b"\0\1").decode(), "encoding": "base64"},
            cognitora.FileUpload.from_bytes("b", b"\2"),
            cognitora.FileUpload.from_path(local),
        ],
        timeout_seconds=30,
        working_directory="/workspace/sub",
        environment={"OWN": "o"},
    )
    assert isinstance(result, cognitora.ContainerExecResponse)
    assert (result.stdout, result.stderr) == ("é\n259\nbo\n/workspace/sub\n", "err\n")
    assert (result.exit_code, result.files_uploaded, result.container_id) == (3, 4, container.id)
    assert result.executed_at.tzinfo is not None
    uploaded = containers.upload_files(container.id, [cognitora.FileUpload("/workspace/more", "kept")])
    assert (uploaded.output, uploaded.files_uploaded) == ("Files uploaded successfully\n", 1)
    executions(containers, container, result)


def executions(containers: Any, container: Any, result: Any) -> None:
    listed = containers.get_container_executions(container.id)
    assert result.execution_id in [item["id"] for item in listed]
    assert listed.total == len(listed)
    assert len(containers.get_container_executions(container.id, limit=1, offset=1)) == 1
    everyones = containers.list_all_container_executions(limit=100, status="FAILED")
    assert result.execution_id in [item.id for item in everyones]
    assert containers.list_all_container_executions(language="python") == []
    one = containers.get_container_execution(result.execution_id)
    assert isinstance(one, cognitora.ContainerExecution)
    assert (one["exit_code"], one.container_id, one["containerId"]) == (3, container.id, container.id)
    assert one["output"] == result.output
    assert one.runtime_seconds == one["runtime_seconds"] > 0
    as_container = containers.get_container(result.execution_id)
    assert (as_container.id, as_container.exit_code, as_container.command) == (one.id, 3, one.command)
    assert as_container.error_message is None
    assert as_container.ended


def test_writing_a_file(client: Any, container: Any, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"l" * 300_000)
    opened = io.BytesIO(b"skippedrest")
    opened.seek(7)
    for name, content in {"bytes": b"\0\1", "text": "é", "local": local, "opened": opened}.items():
        written = client.containers.write_file(container.id, f"/workspace/{name}", content)
        assert written.path == f"/workspace/{name}"
    sizes = client.containers.execute_in_container(
        container.id, ["sh", "-c", "wc -c <bytes; cat text; wc -c <local; cat opened"], working_directory="/workspace"
    )
    assert sizes.output.split() == ["2", "é300000", "rest"]


def test_a_new_deadline_and_the_end(client: Any, container: Any) -> None:
    updated = client.containers.update_container(container.id, timeout_seconds=1200)
    assert (updated.id, updated.timeout_seconds) == (container.id, 1200)
    expires = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    assert client.containers.update_container(container.id, expires_at=expires).expires_at == expires
    assert client.containers.update_container(container.id, expires_at=expires.isoformat()).expires_at == expires
    cancelled = client.containers.cancel_container(container.id)
    assert cancelled
    assert (cancelled.id, cancelled["status"]) == (container.id, "CANCELLED")
    assert cancelled.message == "The container is cancelled."
    assert client.containers.get_container(container.id).status == "CANCELLED"


def test_a_secret_is_given_and_not_shown(client: Any) -> None:
    command = ["sh", "-c", "echo $TOKEN | tr h H; echo $WORD"]
    environment = {"WORD": "shown", "TOKEN": cognitora.Secret("hidden")}
    assert "hidden" not in repr(environment)
    result = client.containers.run_and_wait(**SMALL, command=command, environment=environment)
    assert result.logs == "Hidden\nshown\n"
    assert result.execution.environment["WORD"] == "shown"
    assert "hidden" not in repr(result.execution)


def test_an_idle_timeout(client: Any) -> None:
    created = client.containers.create_persistent_container(**SMALL, idle_timeout_seconds=600)
    assert created.idle_timeout_seconds == 600
    updated = client.containers.update_container(created.id, idle_timeout_seconds=1)
    assert updated.idle_timeout_seconds == 1
    ended = client.containers.wait_for_completion(created.id, 60)
    assert ended.reason == "idle"


def test_an_estimate(client: Any) -> None:
    estimate = client.containers.estimate_cost(cpu_cores=8.0, memory_mb=32768, storage_gb=100, timeout_seconds=7200)
    assert estimate.estimated_credits == estimate["estimated_credits"] == estimate["estimatedCredits"] == 66.0
    assert estimate.breakdown.memory == estimate["breakdown"]["memory"] == 32.0


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [
        ({}, 300),
        ({"persistent": True}, 86_400),
        ({"timeout_seconds": 60}, 60),
    ],
)
def test_a_budget_left_out_covers_the_whole_lifetime(client: Any, lifetime: dict[str, Any], seconds: int) -> None:
    created = client.containers.create_container(**SMALL, command=["true"], **lifetime)
    client.containers.cancel_container(created.id)
    parts = {name: SMALL[name] for name in ("cpu_cores", "memory_mb", "storage_gb")}
    least = client.containers.estimate_cost(**parts, timeout_seconds=seconds).estimated_credits
    most = client.containers.estimate_cost(**parts, timeout_seconds=seconds + 61).estimated_credits
    assert least < created.max_cost_credits <= most
    assert created.timeout_seconds == seconds


def test_a_budget_left_out_covers_the_time_until_the_end(client: Any) -> None:
    expires = datetime.now(UTC) + timedelta(hours=1)
    created = client.containers.create_container(**SMALL, command=["true"], expires_at=expires.isoformat())
    client.containers.cancel_container(created.id)
    parts = {name: SMALL[name] for name in ("cpu_cores", "memory_mb", "storage_gb")}
    assert created.max_cost_credits > client.containers.estimate_cost(**parts, timeout_seconds=3600).estimated_credits


def test_a_key_of_the_callers_own_gives_the_same_container(client: Any) -> None:
    key = f"own-{datetime.now(UTC).timestamp()}"
    first, second = (
        client.containers.create_container(**SMALL, max_cost_credits=1, command=["true"], idempotency_key=key)
        for _ in range(2)
    )
    assert first.id == second.id
    with pytest.raises(cognitora.ConflictError, match="Idempotency-Key"):
        client.containers.create_container(**SMALL, max_cost_credits=2, command=["true"], idempotency_key=key)
