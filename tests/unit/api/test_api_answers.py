"""What is answered: every field, in its spelling, and the mirror under `data`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from cognitora_server.domain.containers import ContainerRequest, ContainerStatus, End, PortMapping, Reason, Usage
from cognitora_server.domain.executions import ExecutionRequest, ExecutionStatus, Output
from cognitora_server.domain.ids import new_id
from cognitora_server.domain.resources import Resources

from .fakes import NOW, Fakes, a_container, an_execution

CREATE = {"image": "python:3.11", "cpuCores": 1, "memoryMb": 512, "maxCostCredits": 10}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def test_a_new_container(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "containers",
        json={**CREATE, "environment": {"A": "é", "B": {"value": "hidden", "secret": True}}, "metadata": {"a": "b"}},
    )
    assert answer.status_code == 201
    body = answer.json()
    assert re.fullmatch(r"cnt_[0-9a-z]{20}", body["id"])
    data = body.pop("data")
    assert data == body
    body.pop("id")
    assert body == {
        "status": "RUNNING",
        "image": "python:3.11",
        "imageNotice": None,
        "command": None,
        "containerType": "COMPUTE",
        "persistent": False,
        "resources": {"cpuCores": 1, "memoryMb": 512, "storageGb": 5, "gpuCount": 0},
        "environment": {"A": "é", "B": "***"},
        "networking": False,
        "portMapping": None,
        "maxCostCredits": 10,
        "actualCostCredits": 0.23,
        "budgetWarnedAt": None,
        "budgetWarning": None,
        "timeoutSeconds": 300,
        "expiresAt": "2026-01-31T12:05:00.123Z",
        "idleTimeoutSeconds": None,
        "createdAt": "2026-01-31T12:00:00.123Z",
        "updatedAt": "2026-01-31T12:00:00.123Z",
        "startedAt": "2026-01-31T12:00:00.123Z",
        "completedAt": None,
        "lastActivityAt": None,
        "runtimeSeconds": 359.5,
        "meteredSeconds": 360,
        "isolation": "gvisor",
        "progress": None,
        "queuePosition": None,
        "exitCode": None,
        "reason": None,
        "errorMessage": None,
        "usage": {"cpuSeconds": 0.0, "memoryPeakBytes": 0, "diskBytes": 0},
        "name": None,
        "metadata": {"a": "b"},
    }


async def test_a_container_that_ended(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container(
        status=ContainerStatus.FAILED,
        end=End(ContainerStatus.FAILED, Reason.OOM, "It used more than 512 MiB.", 137),
        completed_at=NOW + timedelta(seconds=2.5),
        usage=Usage(1.5, 100, 200),
        command=("sleep", "1"),
        port_mapping=PortMapping(80, "tcp", "https://x.localhost"),
        networking=True,
        image_notice="Stand-in",
        progress="pulling",
        name="n",
        created_at=NOW.astimezone(timezone(timedelta(hours=5))),
    )
    body = (await client.get(f"containers/{container.id}")).json()
    assert body["data"] == {name: value for name, value in body.items() if name != "data"}
    assert (body["status"], body["reason"], body["exitCode"]) == ("FAILED", "oom", 137)
    assert body["errorMessage"] == "It used more than 512 MiB."
    assert body["portMapping"] == {"containerPort": 80, "protocol": "tcp", "url": "https://x.localhost"}
    assert body["usage"] == {"cpuSeconds": 1.5, "memoryPeakBytes": 100, "diskBytes": 200}
    assert (body["runtimeSeconds"], body["completedAt"]) == (359.5, "2026-01-31T12:00:02.623Z")
    assert (body["command"], body["progress"], body["imageNotice"]) == (["sleep", "1"], "pulling", "Stand-in")
    assert body["createdAt"] == "2026-01-31T12:00:00.123Z"


async def test_a_list(client: httpx.AsyncClient, fakes: Fakes) -> None:
    assert (await client.get("containers")).json() == {
        "executions": [],
        "data": [],
        "total": 0,
        "limit": 50,
        "offset": 0,
    }
    mine = [fakes.add_container().id for _ in range(3)]
    fakes.add_container("acc_2")
    body = (await client.get("containers?limit=2&offset=1")).json()
    assert body["executions"] == body["data"]
    assert [item["id"] for item in body["data"]] == mine[1:]
    assert "data" not in body["data"][0]
    assert (body["total"], body["limit"], body["offset"]) == (3, 2, 1)


async def test_a_changed_deadline(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    body = (
        await client.patch(f"containers/{container.id}", json={"timeoutSeconds": 60, "idleTimeoutSeconds": 9})
    ).json()
    data = body.pop("data")
    assert (
        data
        == body
        == {
            "id": container.id,
            "status": "RUNNING",
            "timeoutSeconds": 60,
            "idleTimeoutSeconds": 9,
            "expiresAt": "2026-01-31T12:01:00.123Z",
            "updatedAt": "2026-01-31T12:00:00.123Z",
        }
    )


async def test_cancelling(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    for _ in range(2):
        answer = await client.delete(f"containers/{container.id}")
        assert answer.status_code == 200
        body = answer.json()
        data = body.pop("data")
        assert data == body == {"id": container.id, "status": "CANCELLED", "message": "The container is cancelled."}


async def test_cancelling_what_has_ended(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container(status=ContainerStatus.COMPLETED)
    answer = await client.delete(f"containers/{container.id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")
    assert "had ended already (COMPLETED)" in answer.json()["message"]


async def test_logs(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    body = (await client.get(f"containers/{container.id}/logs")).json()
    assert body == {"logs": "one\ntwo\n", "data": {"logs": "one\ntwo\n"}}


async def test_a_command(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    body = (await client.post(f"containers/{container.id}/exec", json={"command": ["ls", "-l"]})).json()
    data = body.pop("data")
    assert data == body
    assert re.fullmatch(r"exec_[0-9a-z]{20}", body.pop("executionId"))
    assert body == {
        "containerId": container.id,
        "status": "completed",
        "command": ["ls", "-l"],
        "output": "out\nerr\n",
        "stdout": "out\n",
        "stderr": "err\n",
        "exitCode": 0,
        "errorMessage": None,
        "executedAt": "2026-01-31T12:00:00.123Z",
        "durationMs": 1500,
        "filesUploaded": 0,
        "truncated": False,
        "omittedBytes": 0,
    }


@pytest.mark.parametrize("text", ["\ud800", "a\udcff\ud83d\ude00", "\0\x1b[31m\u2028", "ÿ"])
async def test_any_output_can_be_answered(client: httpx.AsyncClient, fakes: Fakes, text: str) -> None:
    fakes.executions.output = Output(text, text, "")
    container = fakes.add_container()
    answer = await client.post(f"containers/{container.id}/exec", json={"command": ["ls"]})
    assert answer.status_code == 200
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert answer.json()["output"] == answer.json()["data"]["output"] == expected


async def an_exec(client: httpx.AsyncClient, fakes: Fakes, **fields: Any) -> tuple[str, str]:
    container = fakes.add_container()
    answer = await client.post(f"containers/{container.id}/exec", json={"command": ["ls"], **fields})
    return container.id, answer.json()["executionId"]


async def test_an_execution(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container_id, execution_id = await an_exec(client, fakes, workingDirectory="/w")
    body = (await client.get(f"containers/executions/{execution_id}")).json()
    assert body == {
        "id": execution_id,
        "container_id": container_id,
        "main": False,
        "status": "completed",
        "image": "python:3.11",
        "command": ["ls"],
        "language": None,
        "working_directory": "/w",
        "timeout_seconds": 3600.0,
        "exit_code": 0,
        "error_message": None,
        "output": "out\nerr\n",
        "stdout": "out\n",
        "stderr": "err\n",
        "truncated": False,
        "omitted_bytes": 0,
        "files_uploaded": 0,
        "networking": False,
        "runtime_seconds": 1.5,
        "created_at": "2026-01-31T12:00:00.123Z",
        "started_at": "2026-01-31T12:00:00.123Z",
        "completed_at": "2026-01-31T12:00:01.623Z",
    }
    for address in ("containers/executions", f"containers/{container_id}/executions"):
        page = (await client.get(address)).json()
        assert page == {"executions": [body], "total": 1, "limit": 50, "offset": 0}


async def test_an_execution_asked_for_as_a_container(client: httpx.AsyncClient, fakes: Fakes) -> None:
    _, execution_id = await an_exec(client, fakes)
    plain = (await client.get(f"containers/executions/{execution_id}")).json()
    body = (await client.get(f"containers/{execution_id}")).json()
    assert body.pop("data") == plain
    assert {name: body.pop(name) for name in plain} == plain
    assert body == {
        "resources": {"cpuCores": 1, "memoryMb": 512, "storageGb": 5, "gpuCount": 0},
        "maxCostCredits": 10,
        "actualCostCredits": 0.23,
        "createdAt": "2026-01-31T12:00:00.123Z",
        "startedAt": "2026-01-31T12:00:00.123Z",
        "completedAt": "2026-01-31T12:00:01.623Z",
    }


async def test_long_outputs_are_cut_in_lists_only(client: httpx.AsyncClient, fakes: Fakes) -> None:
    fakes.executions.output = Output("x" * 100_000, "x" * 100_000, "", omitted_bytes=0)
    _, execution_id = await an_exec(client, fakes)
    listed = (await client.get("containers/executions")).json()["executions"][0]
    assert (len(listed["output"]), listed["truncated"]) == (16384, True)
    whole = (await client.get(f"containers/executions/{execution_id}")).json()
    assert (len(whole["output"]), whole["truncated"]) == (100_000, False)


async def test_omitted_output_is_said(client: httpx.AsyncClient, fakes: Fakes) -> None:
    fakes.executions.output = Output("x", "x", "", omitted_bytes=7)
    container = fakes.add_container()
    body = (await client.post(f"containers/{container.id}/exec", json={"command": ["ls"]})).json()
    assert (body["truncated"], body["omittedBytes"]) == (True, 7)


async def test_an_execution_that_has_not_started(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = a_container("acc_1", ContainerRequest("x", Resources(1, 512), 1.0), NOW)
    execution = an_execution(container, ExecutionRequest(("ls",)), NOW, Output())
    execution = replace(
        execution, status=ExecutionStatus.QUEUED, started_at=None, completed_at=None, exit_code=None, main=True
    )
    fakes.executions.kept[execution.id] = execution
    body = (await client.get(f"containers/executions/{execution.id}")).json()
    assert (body["status"], body["started_at"], body["exit_code"]) == ("queued", None, None)
    assert (body["runtime_seconds"], body["main"]) == (0.0, True)


STRANGE_IDS = [
    "cnt_",
    "cnt_short",
    "cnt_0123456789ABCDEFGHJK",
    "exec_",
    "x",
    "..",
    "%2e%2e%2f",
    "a b",
    "%00",
    "%ff%fe",
    "é",
    "'; drop table",
    "x" * 5000,
    new_id("cnt") + "%0a",
    new_id("exec"),
    new_id("cnt"),
]


@pytest.mark.parametrize("text", STRANGE_IDS)
async def test_any_text_as_an_id_is_404(client: httpx.AsyncClient, text: str) -> None:
    for method, address in [
        ("GET", f"containers/{text}"),
        ("PATCH", f"containers/{text}"),
        ("DELETE", f"containers/{text}"),
        ("POST", f"containers/{text}/exec"),
        ("GET", f"containers/{text}/logs"),
        ("GET", f"containers/{text}/executions"),
        ("GET", f"containers/executions/{text}"),
    ]:
        json = {"PATCH": {"timeoutSeconds": 1}, "POST": {"command": ["ls"]}}.get(method)
        answer = await client.request(method, address, json=json)
        # `..` is the client's own: it goes one up before it asks.
        assert answer.status_code in ((404,) if text != ".." else (404, 405, 200, 422)), answer.text
        assert answer.status_code != 404 or answer.json()["code"] == "not_found"


async def test_another_accounts_things_do_not_exist(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container_id, execution_id = await an_exec(client, fakes)
    client.headers["Authorization"] = "Bearer cgk_two"
    for method, address in [
        ("GET", f"containers/{container_id}"),
        ("DELETE", f"containers/{container_id}"),
        ("GET", f"containers/{container_id}/logs"),
        ("GET", f"containers/{container_id}/executions"),
        ("GET", f"containers/{execution_id}"),
        ("GET", f"containers/executions/{execution_id}"),
    ]:
        assert (await client.request(method, address)).status_code == 404
    assert (await client.post(f"containers/{container_id}/exec", json={"command": ["ls"]})).status_code == 404
    assert (await client.patch(f"containers/{container_id}", json={"timeoutSeconds": 5})).status_code == 404
    assert (await client.get("containers")).json()["total"] == 0


async def test_times_are_utc_with_milliseconds(client: httpx.AsyncClient) -> None:
    body = (await client.post("containers", json={**CREATE, "expiresAt": "2030-06-01T12:00:00+02:00"})).json()
    assert body["expiresAt"] == "2030-06-01T10:00:00.000Z"
    assert all(TIME.fullmatch(body[name]) for name in ("createdAt", "updatedAt", "startedAt", "expiresAt"))
    assert datetime.fromisoformat(body["createdAt"]).tzinfo == UTC
