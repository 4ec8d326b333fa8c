"""The documentation's Python examples, run with our own client."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from cognitora import Cognitora, CognitoraAsync
from tests.examples.documentation import example
from tests.examples.users import User
from tests.servers import Api


@pytest.fixture(scope="module")
def client(user: User) -> Iterator[Cognitora]:
    """The `client` that most examples presume."""
    with Cognitora(api_key=user.key, base_url=user.base_url) as made:
        yield made


@pytest.fixture(scope="module")
def busy(api: Api) -> str:
    """A container whose command goes on."""
    return str(api.until(api.create(command=["sleep", "600"])["id"], "RUNNING")["id"])


@pytest.fixture(scope="module")
def failed(api: Api, busy: str) -> dict[str, Any]:
    """An execution in it that did not succeed."""
    return api.exec(busy, "sh", "-c", "exit 3")


@pytest.fixture(scope="module")
def finished(api: Api) -> dict[str, Any]:
    """A container that has ended."""
    created = api.create(command=["sh", "-c", "echo as printed; sleep 1"], persistent=False)
    return api.ended(created["id"])


def ended_of(api: Api, image: str) -> tuple[dict[str, Any], str]:
    """The newest container of this image once it has ended, and its logs."""
    listed = api.get("/containers", params={"limit": 100}).json()["data"]
    ended = api.ended(next(each["id"] for each in listed if each["image"] == image))
    return ended, api.get(f"/containers/{ended['id']}/logs").json()["logs"]


def test_using_python_sdk(user: User, api: Api) -> None:
    ran = user.python(example("Using Python SDK"))
    container = api.until(ran.names["container"].id, "RUNNING", "IDLE")
    assert ran.lines == [f"Container ID: {container['id']}"]
    assert (container["image"], container["persistent"]) == ("docker.io/library/ubuntu:22.04", True)
    assert container["resources"] == {"cpuCores": 2, "memoryMb": 4096, "storageGb": 20, "gpuCount": 0}
    assert (container["maxCostCredits"], container["timeoutSeconds"]) == (100, 28800)
    api.delete(f"/containers/{container['id']}")
    ran.names["client"].close()


def test_secure_container_execution(user: User, api: Api, client: Cognitora) -> None:
    ran = user.python(example("Secure Container Execution (Default)"), client=client)
    ended, logs = ended_of(api, "docker.io/library/python:3.11")
    assert ended["id"] == ran.names["execution"].id
    assert (ended["status"], ended["exitCode"], ended["networking"]) == ("COMPLETED", 0, False)
    assert logs == "Secure isolated computation\n"


def test_list_all_container_executions(user: User, api: Api, client: Cognitora, busy: str) -> None:
    main = api.get(f"/containers/{busy}/executions", params={"status": "running"}).json()["executions"][0]
    lines = user.python(example("List All Container Executions"), client=client).lines
    place = lines.index(f"Container {main['id']}: running")
    assert lines[0] == f"Active containers: {(len(lines) - 1) // 3}"
    assert lines[place + 1] == f"  Image: {main['image']}"
    assert re.fullmatch(r"  Runtime: \d+(\.\d+)?s", lines[place + 2])


def test_get_container_execution_details(user: User, client: Cognitora, failed: dict[str, Any]) -> None:
    ran = user.python(example("Get Container Execution Details"), execution=failed["executionId"], client=client)
    assert ran.lines == [
        "Execution status: failed",
        "Command: ['sh', '-c', 'exit 3']",
        "Exit code: 3",
        "Networking enabled: False",
    ]


def test_container_execution_history(user: User, client: Cognitora, busy: str, failed: dict[str, Any]) -> None:
    lines = user.python(example("Container Execution History"), busy, client=client).lines
    assert lines[0] == "Container has 2 executions"
    assert [re.sub(r"[\d.]+s$", "", line) for line in lines[1:]] == ["- failed: ", "- running: "]


def test_cost_estimation(user: User, api: Api, client: Cognitora) -> None:
    before = api.get("/containers").json()["total"]
    ran = user.python(example("Cost Estimation"), client=client, budget=65)
    # Two hours of 8 cores at 2 credits, 32 GiB at 0.5 and 100 GiB at 0.01.
    assert ran.lines == ["Estimated cost: 66.0 credits"]
    assert api.get("/containers").json()["total"] == before


def test_monitoring_container_status(user: User, api: Api, client: Cognitora, busy: str) -> None:
    status, cost, started = user.python(example("Monitoring Container Status"), busy, client=client).lines
    assert status == "Status: RUNNING"
    assert 0 < float(cost.removeprefix("Actual cost: ").removesuffix(" credits")) < 1
    assert started.removeprefix("Started at: ")[:19].replace(" ", "T") == api.container(busy)["startedAt"][:19]


def test_retrieving_container_logs(user: User, client: Cognitora, finished: dict[str, Any]) -> None:
    ran = user.python(example("Retrieving Container Logs"), finished["id"], client=client)
    assert ran.lines == ["Container output: as printed", ""]


def test_cancelling_containers(user: User, api: Api, client: Cognitora) -> None:
    container = api.create(command=["sleep", "600"])["id"]
    ran = user.python(example("Cancelling Containers"), container, client=client)
    assert ran.lines == [f"Container cancelled: {ran.names['result'].message}"]
    assert ran.names["result"].message
    assert api.ended(container)["status"] == "CANCELLED"


def test_list_container_executions(user: User, client: Cognitora, busy: str, finished: dict[str, Any]) -> None:
    lines = user.python(example("List Container Executions"), client=client).lines
    assert re.fullmatch(r"Runtime: \d+(\.\d+)?s", lines[lines.index(f"Container {busy}: RUNNING") + 1])
    assert f"Runtime: {finished['runtimeSeconds']}s" == lines[lines.index(f"Container {finished['id']}: COMPLETED") + 1]


def test_get_execution_details(user: User, client: Cognitora, failed: dict[str, Any]) -> None:
    ran = user.python(example("Get Execution Details"), execution=failed["executionId"], client=client)
    assert ran.lines[:2] == ["Command executed: ['sh', '-c', 'exit 3']", "Exit code: 3"]
    assert ran.lines[2] == f"Error message: {failed['errorMessage']}"


def test_image_security(user: User, api: Api, client: Cognitora) -> None:
    user.python(example("Image Security"), client=client)
    ended, logs = ended_of(api, "python:3.11.6-slim-bullseye")
    assert (ended["status"], ended["exitCode"], ended["networking"]) == ("COMPLETED", 0, False), logs
    assert logs == f"The report's sum: {hashlib.sha256(b'report').hexdigest()}\n"
    ended, logs = ended_of(api, "your-private-registry.com/secure-agent:v1.2.3")
    assert (ended["status"], ended["exitCode"], ended["networking"]) == ("COMPLETED", 0, False), logs
    assert logs == "The secure agent ran as root in /app\n"


def test_resource_limits(user: User, api: Api, client: Cognitora) -> None:
    user.python(example("Resource Limits"), client=client)
    ended, logs = ended_of(api, "untrusted-image:latest")
    assert (ended["status"], ended["exitCode"], ended["networking"]) == ("COMPLETED", 0, False), logs
    assert ended["resources"] == {"cpuCores": 1, "memoryMb": 512, "storageGb": 1, "gpuCount": 0}
    assert (ended["timeoutSeconds"], ended["maxCostCredits"]) == (300, 10)
    assert logs == "No way out: Network is unreachable\n"


async def test_real_time_status_monitoring(user: User, api: Api) -> None:
    # The example looks at once, while it runs, and five seconds later, when it is over.
    container = api.create(command=["sh", "-c", "echo as printed; sleep 3"], persistent=False)["id"]
    api.until(container, "RUNNING")
    async with CognitoraAsync(api_key=user.key, base_url=user.base_url) as client:
        ran = await user.python_async(example("Real-time Status Monitoring"), container, client=client, asyncio=asyncio)
    ended = api.container(container)
    # A machine that is slow may look later, or more often.
    assert set(ran.lines[:-6]) <= {f"Container {container}: RUNNING"}
    assert ran.lines[-6:] == [
        f"Container {container}: COMPLETED",
        "Final status: COMPLETED",
        f"Total cost: {ended['actualCostCredits']} credits",
        "Networking enabled: False",
        "Final output: as printed",
        "",
    ]


def test_execution_performance_analysis(user: User, client: Cognitora, finished: dict[str, Any]) -> None:
    ran = user.python(example("Execution Performance Analysis"), finished["id"], client=client)
    metrics = ran.names["metrics"]
    assert ran.lines == [f"Container efficiency: {metrics}"]
    started, completed = (datetime.fromisoformat(finished[name]) for name in ("startedAt", "completedAt"))
    assert metrics["runtime_seconds"] == (completed - started).total_seconds()
    assert metrics["cost_per_second"] * metrics["runtime_seconds"] == pytest.approx(finished["actualCostCredits"])
    assert metrics["cpu_utilization"] == pytest.approx(finished["actualCostCredits"] / finished["maxCostCredits"])
    assert metrics["resource_efficiency"] == "high"
