"""The documentation's curl examples, run by bash as they are printed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.examples.documentation import example
from tests.examples.users import User
from tests.servers import Api

QUICK_START = example("Using cURL")
AGENT = example("AI Agent Environment")


@pytest.fixture(scope="module")
def workspace(user: User) -> dict[str, Any]:
    """The container of the quick start; what follows it in the documentation happens in there."""
    return user.shell(QUICK_START.text)


@pytest.fixture(scope="module")
def uploaded(user: User, workspace: dict[str, Any]) -> dict[str, Any]:
    return user.shell(example("Upload and Run Code").text, workspace["id"])


def test_using_curl(api: Api, workspace: dict[str, Any]) -> None:
    assert workspace["data"]["id"] == workspace["id"]
    running = api.until(workspace["id"], "RUNNING", "IDLE")
    assert running["image"] == "docker.io/library/ubuntu:22.04"
    assert running["resources"] == {"cpuCores": 2, "memoryMb": 4096, "storageGb": 20, "gpuCount": 0}
    assert (running["persistent"], running["timeoutSeconds"], running["maxCostCredits"]) == (True, 28800, 100)
    assert running["environment"] == {"WORKSPACE": "/workspace"}
    assert api.exec(workspace["id"], "sh", "-c", "echo $WORKSPACE")["output"] == "/workspace\n"


def test_install_development_tools(user: User, workspace: dict[str, Any]) -> None:
    # The request asks for no networking, so apt is run, and tells that it reaches nobody.
    result = user.shell(example("Install Development Tools").text, workspace["id"])
    assert result["status"] == "failed"
    assert result["exitCode"] == 100, result["output"]
    assert "Unable to locate package git" in result["stderr"]


def test_upload_and_run_code(uploaded: dict[str, Any]) -> None:
    assert (uploaded["exitCode"], uploaded["filesUploaded"]) == (0, 1), uploaded["output"]
    assert json.loads(uploaded["output"]) == {"message": "Hello from long-running container!"}


def test_check_state_persistence(user: User, workspace: dict[str, Any], uploaded: dict[str, Any]) -> None:
    result = user.shell(example("Check State Persistence").text, workspace["id"])
    assert (result["exitCode"], json.loads(result["output"])) == (0, json.loads(uploaded["output"]))


def test_data_science_workflow(api: Api, user: User) -> None:
    container = user.shell(example("Data Science Workflow").text)
    result = user.shell(example("Data Science Workflow (2)").text, container["id"])
    assert (result["exitCode"], result["filesUploaded"]) == (0, 2), result["output"]
    assert result["output"].splitlines()[0] == "Dataset shape: (2, 3)"
    assert result["output"].splitlines()[-1] == "Total Revenue: $3800"
    written = api.exec(container["id"], "cat", "/home/jovyan/work/processed_data.csv")["output"]
    assert written == "date,product,revenue\n2024-01-01,Widget A,1500\n2024-01-02,Widget B,2300\n"
    api.delete(f"/containers/{container['id']}")


def test_ai_agent_environment(api: Api, user: User) -> None:
    create, deploy = AGENT.parts
    container = user.shell(create)
    for done in (1, 2):
        result = user.shell(deploy, container["id"])
        assert result["exitCode"] == 0, result["output"]
        answer = json.loads(result["output"].removeprefix("Agent Result: "))
        assert answer == {"status": "completed", "result": "Processed analyze_user_data"}
        state = json.loads(api.exec(container["id"], "cat", "/agent/state.json")["output"])
        assert (state["tasks_completed"], state["last_task"]) == (done, "analyze_user_data")
    assert api.exec(container["id"], "sh", "-c", "echo $AGENT_ENV")["output"] == "development\n"
    api.delete(f"/containers/{container['id']}")


def test_retrieving_container_logs(api: Api, user: User) -> None:
    container = api.create(command=["echo", "as printed"], persistent=False)
    api.ended(container["id"])
    answer = user.shell(example("Retrieving Container Logs (2)").text, container["id"])
    assert (answer["logs"], answer["data"]["logs"]) == ("as printed\n", "as printed\n")
