"""Results, read by attribute and by key."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, assert_type

import pytest

import cognitora
from cognitora import _wire
from cognitora_server.api import examples

CONTAINER: dict[str, Any] = {
    **examples.CONTAINER,
    "environment": {"LOG_LEVEL": "INFO"},
    "portMapping": {"containerPort": 80, "protocol": "tcp", "url": "x"},
}


def test_by_attribute_times_are_datetimes_and_by_key_what_was_sent() -> None:
    container = cognitora.Execution(CONTAINER)
    assert container.created_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert container["created_at"] == container["createdAt"] == CONTAINER["createdAt"]
    assert container.completed_at is None
    assert container.resources.cpu_cores == container["resources"]["cpuCores"] == container["resources"]["cpu_cores"]
    assert container.port_mapping is not None
    assert container.port_mapping.container_port == container.get("portMapping")["containerPort"] == 80
    assert container.usage.memory_peak_bytes == CONTAINER["usage"]["memoryPeakBytes"]
    assert container.environment == {"LOG_LEVEL": "INFO"}
    assert "maxCostCredits" in container
    assert "max_cost_credits" in container
    assert "cost" not in container


def test_every_field_of_the_wire_is_declared() -> None:
    for kind, wire in (
        (cognitora.Execution, examples.CONTAINER),
        (cognitora.ContainerExecution, examples.EXECUTION),
        (cognitora.ContainerExecResponse, examples.EXECUTED),
        (cognitora.ContainerUpdateResponse, examples.UPDATED),
        (cognitora.CancelResult, examples.CANCELLED),
        (cognitora.FileWritten, examples.FILE_WRITTEN),
        (cognitora.CostEstimate, examples.ESTIMATE),
        (cognitora.UsageSum, examples.USAGE["items"][0]),
        (cognitora.AccountStanding, examples.USAGE["account"]),
    ):
        declared = {field.name for field in dataclasses.fields(kind)}
        assert declared == set(kind(wire)), "declare it in src/cognitora/models.py"


def test_names_inside_of_values_stay_as_they_are() -> None:
    container = cognitora.Execution({**CONTAINER, "environment": {"camelCase": "1"}, "metadata": {"userId": "2"}})
    assert container.environment == {"camelCase": "1"}
    assert container["metadata"] == {"userId": "2"}


def test_what_is_missing_and_what_is_new() -> None:
    container = cognitora.Execution({"id": "cnt_1", "brandNew": 5})
    assert container.exit_code is None
    assert container.get("exit_code", 7) == 7
    assert getattr(container, "brand_new") == container["brandNew"] == 5  # noqa: B009
    with pytest.raises(AttributeError, match="Execution has no field 'colour'; it has id, brand_new"):
        getattr(container, "colour")  # noqa: B009
    with pytest.raises(KeyError):
        container["exit_code"]
    assert {"exit_code", "brand_new", "id"} <= set(dir(container))


def test_it_is_a_dictionary_and_a_dataclass() -> None:
    container = cognitora.Execution(CONTAINER)
    assert json.loads(json.dumps(container)) == container
    assert dict(container) == {**container}
    assert dataclasses.asdict(container)["resources"]["storage_gb"] == 20
    assert dataclasses.asdict(container)["started_at"] == container.started_at
    for twin in (copy.copy(container), copy.deepcopy(container), pickle.loads(pickle.dumps(container))):
        assert twin == container
        assert type(twin) is cognitora.Execution
        assert twin.resources.cpu_cores == 2
    assert repr(container).startswith("Execution(id='cnt_0123456789abcdefghjk', status='RUNNING'")


def test_resources_are_equal_however_they_were_made() -> None:
    made = cognitora.ExecutionResources(cpu_cores=2, memory_mb=4096, storage_gb=20, gpu_count=0)
    assert made == cognitora.Execution(CONTAINER).resources
    assert made == cognitora.ExecutionResources.from_api_response(CONTAINER["resources"])
    default = cognitora.ExecutionResources.from_api_response({"cpuCores": 4})
    assert (default.cpu_cores, default.memory_mb, default.storage_gb, default.gpu_count) == (4, 512, 5, 0)


def test_a_page_is_a_list_with_a_total() -> None:
    page = cognitora.Page(["a", "b"], total=7, limit=2, offset=4)
    assert page == ["a", "b"]
    assert (len(page), page[0], page[-1:]) == (2, "a", ["b"])
    assert page.executions == page["executions"] == page["data"] == ["a", "b"]
    assert (page.total, page["total"], page.limit, page["limit"], page.offset, page["offset"]) == (7, 7, 2, 2, 4, 4)
    assert json.dumps(page) == '["a", "b"]'
    with pytest.raises(KeyError):
        page["none"]


def test_logs_are_text() -> None:
    logs = cognitora.ContainerLogs("a\nb\n")
    assert (logs, logs.logs, logs["logs"], logs[0], logs[2:]) == ("a\nb\n", "a\nb\n", "a\nb\n", "a", "b\n")
    assert logs.splitlines() == ["a", "b"]
    assert type(logs.logs) is str
    with pytest.raises(KeyError):
        logs["log"]


def test_the_published_clients_requests_are_arguments() -> None:
    asked = cognitora.ComputeExecutionRequest("image", 1, 512, 10, ["true"])
    container = cognitora.PersistentContainerRequest("image", 1, 512, 10)
    assert dataclasses.asdict(asked)["command"] == ["true"]
    assert container.persistent
    upload = cognitora.FileUpload("name", "content")
    assert dataclasses.asdict(cognitora.ContainerExecRequest(["true"], [upload]))["files"] == [
        dataclasses.asdict(upload)
    ]
    with pytest.raises(TypeError, match="from_bytes"):
        cognitora.FileUpload("name", b"content")  # type: ignore[arg-type]
    assert dataclasses.asdict(cognitora.ContainerUpdateRequest(5)) == {"timeout_seconds": 5, "expires_at": None}


def test_types_are_known_to_type_checkers() -> None:
    container = cognitora.Execution(CONTAINER)
    assert_type(container.created_at, datetime)
    assert_type(container.completed_at, datetime | None)
    assert_type(container.resources.memory_mb, int)
    assert_type(cognitora.Page([container], 1, 1, 0)[0], cognitora.Execution)
    assert_type(cognitora.CostEstimate(examples.ESTIMATE).breakdown.cpu, float)
    assert_type(cognitora.ContainerLogs("text").logs, str)
    run: Callable[..., cognitora.RunResult] = cognitora.Containers.run_and_wait
    run_async: Callable[..., Coroutine[Any, Any, cognitora.RunResult]] = cognitora.AsyncContainers.run_and_wait
    assert callable(run)
    assert callable(run_async)


def test_a_request_object_keeps_its_secrets() -> None:
    secret = cognitora.Secret("hidden")
    request = cognitora.ComputeExecutionRequest("image", 1, 64, environment={"TOKEN": secret, "WORD": "shown"})
    assert "hidden" not in repr(request)
    sent = _wire.given(**dataclasses.asdict(request))["environment"]
    assert sent == {"TOKEN": {"value": "hidden", "secret": True}, "WORD": "shown"}
