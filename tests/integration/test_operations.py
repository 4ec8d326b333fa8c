"""What an operator sees of a real server: metrics, logs and the audit log tell the same story, and no secret."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.servers import COGNITORA, RunningServer

WAIT_SECONDS = 60
LOGGED = {"COGNITORA_LOG_FORMAT": "json"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("told"), environment=LOGGED) as running:
        yield running


def until(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found
    return found


def metrics(server: RunningServer) -> dict[tuple[str, ...], float]:
    text = httpx.get(f"{server.base_url}/metrics").text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def log_lines(server: RunningServer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def test_what_was_done_is_counted_logged_and_written_down(told: RunningServer) -> None:
    other = told.new_key("other", "another account")
    with told.client() as api, told.client(other) as stranger:
        api.headers["X-Request-Id"] = "the-create"
        container = api.create()["id"]
        api.headers["X-Request-Id"] = "the-exec"
        execution = api.exec(container, "sh", "-c", "exit 3", environment={"TOKEN": "hush"})["executionId"]
        api.headers["X-Request-Id"] = "the-cancel"
        assert api.delete(f"/containers/{container}").status_code == 200
        assert stranger.delete(f"/containers/{container}").status_code == 404
        entries = api.get("/audit", params={"containerId": container}).json()["entries"]
        theirs = stranger.get("/audit").json()["entries"]
    assert [(entry["action"], entry["requestId"], entry["status"]) for entry in reversed(entries)] == [
        ("container.create", "the-create", 201),
        ("container.exec", "the-exec", 200),
        ("container.cancel", "the-cancel", 200),
    ]
    assert {(entry["keyName"], entry["remoteAddress"]) for entry in entries} == {("tests", "127.0.0.1")}
    assert (entries[1]["executionId"], entries[1]["details"]) == (execution, {"program": "sh"})
    assert [(entry["action"], entry["status"]) for entry in theirs] == [("container.cancel", 404), ("key.create", None)]

    found = metrics(told)
    assert sum(value for labels, value in found.items() if labels[0] == "cognitora_container_start_seconds_count") == 1
    ends = {labels[2:]: value for labels, value in found.items() if labels[0] == "cognitora_container_ends_total"}
    assert ends == {("user", "CANCELLED"): 1}
    assert found["cognitora_executions_total", "exec", "failed"] == 1
    assert found["cognitora_queue_wait_seconds_count",] == 1
    assert found["cognitora_queue_length",] == 0
    assert found["cognitora_credits_total",] > 0
    assert found["cognitora_database_seconds_count", "write"] > 3
    assert found["cognitora_audit_entries_lost",] == 0
    until(lambda: metrics(told)["cognitora_event_loop_lag_seconds_count",] > 0)

    requests = {line["request_id"]: line for line in log_lines(told) if line["message"] == "request"}
    assert requests["the-exec"]["route"] == "/api/v1/compute/containers/{container_id}/exec"
    assert (requests["the-exec"]["container_id"], requests["the-exec"]["execution_id"]) == (container, execution)
    assert requests["the-create"]["container_id"] == container
    assert {"account_id", "key_id", "duration_ms", "status", "method"} <= set(requests["the-create"])
    ended = [line for line in log_lines(told) if line.get("container_id") == container and "ended" in line["message"]]
    assert [(line["status"], line["reason"]) for line in ended] == [("CANCELLED", "user")]
    assert "request_id" not in ended[0]


def test_no_secret_is_kept_or_logged(told: RunningServer) -> None:
    with told.client() as api:
        api.get(f"/containers/{told.api_key}")
        api.get("/containers", headers={"Authorization": f"Bearer {told.api_key}x"})
        api.post("/containers", json={"image": told.api_key, "cpuCores": told.api_key})
    shown = subprocess.run(
        [COGNITORA, "audit", "--data-dir", told.data_dir, "--json"], capture_output=True, text=True, check=True
    )
    assert told.api_key not in shown.stdout
    for file in told.data_dir.glob("*"):
        if file.is_file():
            assert told.api_key.encode() not in file.read_bytes(), file


def test_every_request_has_an_id_even_what_is_no_request(told: RunningServer) -> None:
    url = httpx.URL(told.base_url)
    for request in (b"\0\1\2\r\n\r\n", b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
        answer = subprocess.run(
            ["bash", "-c", f"exec 3<>/dev/tcp/{url.host}/{url.port}; cat >&3; cat <&3"],
            input=request,
            capture_output=True,
            timeout=WAIT_SECONDS,
        ).stdout.decode()
        head, _, body = answer.partition("\r\n\r\n")
        (request_id,) = re.findall(r"(?im)^x-request-id: (\S+?)\r?$", head)
        assert json.loads(body)["request_id"] == request_id
        assert until(lambda: [line for line in log_lines(told) if line.get("request_id") == request_id])  # noqa: B023


def test_refused_keys_are_in_the_audit_log_in_sum(tmp_path: Path, images: Path) -> None:
    with RunningServer(tmp_path) as server:
        for _ in range(3):
            assert httpx.get(f"{server.base_url}/api/v1/compute/containers").status_code == 401
    shown = subprocess.run(
        [COGNITORA, "audit", "--data-dir", tmp_path, "--json"], capture_output=True, text=True, check=True
    )
    (refused,) = [
        entry for line in shown.stdout.splitlines() if (entry := json.loads(line))["action"] == "auth.refused"
    ]
    assert (refused["remote_address"], refused["details"]["count"]) == ("127.0.0.1", 3)


def test_a_burst_is_refused_and_then_let_in_again(tmp_path: Path, images: Path) -> None:
    with RunningServer(tmp_path, environment={"COGNITORA_RATE_LIMIT_BURST": "5"}) as server:
        with server.client(server.new_key("busy")) as busy:
            deadline = time.monotonic() + WAIT_SECONDS
            while (refused := busy.get("/containers")).status_code != 429:
                assert time.monotonic() < deadline
            assert refused.json()["code"] == "rate_limited"
            assert int(refused.headers["Retry-After"]) >= 1
            with server.client() as calm:
                assert calm.get("/containers").status_code == 200
            assert httpx.get(f"{server.base_url}/health").status_code == 200
            time.sleep(int(refused.headers["Retry-After"]))
            until(lambda: busy.get("/containers").status_code == 200)
        time.sleep(1)  # the server's own client has had its turn, and lists all that runs now


def test_a_server_that_is_killed_loses_no_audit_entry_of_long_work(tmp_path: Path, images: Path) -> None:
    with RunningServer(tmp_path) as server, server.client() as api:
        container = api.create()["id"]
        api.exec(container, "true")
        with pytest.raises(httpx.TimeoutException):
            api.post(f"/containers/{container}/exec", json={"command": ["sleep", "60"]}, timeout=1)
        query = {"action": "container.exec"}
        until(lambda: api.get("/audit", params=query).json()["total"] == 2)
        server.kill()
        server.start()
        with server.client() as again:
            entries = again.get("/audit", params=query).json()["entries"]
        assert [(entry["status"], entry["details"]["program"]) for entry in entries] == [(None, "sleep"), (200, "true")]
