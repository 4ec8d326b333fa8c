"""The documentation's REST reference: each request is sent as it is printed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.examples.documentation import example
from tests.examples.users import User
from tests.servers import Api


@pytest.fixture(scope="module")
def container(user: User, api: Api) -> str:
    """The persistent container that the reference goes on with, up to its end."""
    answer = user.request(example("Persistent Container"))
    assert answer.status_code == 201, answer.text
    return str(api.until(answer.json()["id"], "RUNNING")["id"])


@pytest.fixture(scope="module")
def execution(user: User, container: str) -> dict[str, Any]:
    """What ran in it."""
    return answered(user.request(example("Execute Command in Persistent Container"), container))


def answered(answer: httpx.Response) -> dict[str, Any]:
    """The body of an answer that says that all is well."""
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_one_shot_container(user: User, api: Api) -> None:
    answer = user.request(example("One-Shot Container"))
    assert answer.status_code == 201, answer.text
    ended = api.ended(answer.json()["data"]["id"])
    assert (ended["status"], ended["reason"], ended["exitCode"]) == ("COMPLETED", "exit", 0)
    assert (ended["persistent"], ended["timeoutSeconds"]) == (False, 300)
    assert 0 < ended["actualCostCredits"] < 1
    assert api.get(f"/containers/{ended['id']}/logs").json()["logs"] == "Hello World\n"


def test_persistent_container(api: Api, container: str) -> None:
    running = api.container(container)
    assert (running["image"], running["persistent"]) == ("docker.io/library/ubuntu:22.04", True)
    assert (running["timeoutSeconds"], running["maxCostCredits"]) == (28800, 200)


def test_execute_command_in_persistent_container(container: str, execution: dict[str, Any]) -> None:
    assert (execution["exitCode"], execution["filesUploaded"]) == (0, 1)
    assert execution["output"] == execution["stdout"] == "Hello from persistent container!\n"
    assert (execution["containerId"], execution["command"]) == (container, ["python3", "script.py"])


def test_update_container_settings(user: User, api: Api, container: str) -> None:
    answer = answered(user.request(example("Update Container Settings"), container))
    assert (answer["id"], answer["timeoutSeconds"]) == (container, 43200)
    assert api.container(container)["expiresAt"] == answer["expiresAt"]


def test_get_container_status(user: User, container: str) -> None:
    answer = answered(user.request(example("Get Container Status"), container))
    assert (answer["id"], answer["data"]["status"]) == (container, "RUNNING")


def test_list_containers(user: User, container: str) -> None:
    answer = answered(user.request(example("List Containers")))
    assert answer["limit"] == 20
    assert container in [each["id"] for each in answer["data"]]
    assert {(each["status"], each["containerType"]) for each in answer["data"]} == {("RUNNING", "COMPUTE")}


def test_get_container_logs(user: User, api: Api) -> None:
    talking = api.create(command=["sh", "-c", "echo out; echo err >&2"], persistent=False)["id"]
    api.ended(talking)
    assert sorted(answered(user.request(example("Get Container Logs"), talking))["logs"].split()) == ["err", "out"]


def test_cancel_container(user: User, api: Api, container: str, execution: dict[str, Any]) -> None:
    # What the reference prints after this is answered for a container that is gone.
    answer = answered(user.request(example("Cancel Container"), container))
    assert (answer["id"], answer["data"]["status"]) == (container, answer["status"])
    assert answer["message"]
    assert api.ended(container)["status"] == "CANCELLED"


def test_list_container_executions(user: User, container: str, execution: dict[str, Any]) -> None:
    listed = {
        each["id"]: each
        for each in answered(user.request(example("List Container Executions (2)"), container))["executions"]
    }
    assert {each["container_id"] for each in listed.values()} == {container}
    assert listed[execution["executionId"]]["output"] == "Hello from persistent container!\n"


def test_list_all_container_executions(user: User, api: Api) -> None:
    busy = api.until(api.create(command=["sleep", "600"])["id"], "RUNNING")["id"]
    listed = answered(user.request(example("List All Container Executions (2)")))["executions"]
    assert busy in [each["container_id"] for each in listed]
    assert {each["status"] for each in listed} == {"running"}
    api.delete(f"/containers/{busy}")


def test_get_container_execution_details(user: User, execution: dict[str, Any]) -> None:
    found = answered(user.request(example("Get Container Execution Details (2)"), execution=execution["executionId"]))
    assert (found["id"], found["status"], found["exit_code"]) == (execution["executionId"], "completed", 0)
    assert (found["networking"], found["output"]) == (False, "Hello from persistent container!\n")


def test_list_all_executions_global(user: User) -> None:
    answer = answered(user.request(example("List All Executions (Global)")))
    assert (answer["limit"], answer["executions"]) == (50, [])
