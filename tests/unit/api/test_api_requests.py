"""What requests may say: spellings, bounds, and the sentence for each mistake."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from cognitora_server.domain.containers import (
    ContainerChange,
    ContainerFilter,
    ContainerStatus,
    ContainerType,
    PortMapping,
)
from cognitora_server.domain.executions import ExecutionFilter, ExecutionStatus
from cognitora_server.domain.pages import Page
from cognitora_server.domain.resources import Resources

from .fakes import Fakes

CREATE: dict[str, Any] = {"image": "python:3.11", "cpuCores": 1, "memoryMb": 512, "maxCostCredits": 10}


async def create(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    body = {name: value for name, value in {**CREATE, **fields}.items() if value is not ...}
    return await client.post("containers", json=body)


async def test_a_create_with_the_least(client: httpx.AsyncClient, fakes: Fakes) -> None:
    assert (await create(client)).status_code == 201
    request = fakes.containers.requests[0]
    assert (request.resources, request.command) == (Resources(1.0, 512, 5, 0), None)
    assert (request.persistent, request.networking, request.port_mapping) == (False, False, None)
    assert (request.timeout_seconds, request.expires_at, request.isolation) == (None, None, "auto")
    assert (request.name, request.environment, request.metadata) == (None, {}, {})


@pytest.mark.parametrize("spelling", ["camel", "snake"])
async def test_a_create_with_everything(client: httpx.AsyncClient, fakes: Fakes, spelling: str) -> None:
    camel = {
        "image": "python:3.11",
        "cpuCores": 0.5,
        "memoryMb": 1024.0,
        "storageGb": 20,
        "gpuCount": 1,
        "maxCostCredits": 0.5,
        "command": ["python", "-c", ""],
        "persistent": True,
        "timeoutSeconds": 60,
        "expiresAt": "2030-01-31T12:00:00+02:00",
        "environment": {"A": "1", "B": ""},
        "networking": True,
        "portMapping": {"containerPort": 8080, "protocol": "UDP"},
        "isolation": "gVisor",
        "name": "ein Name",
        "metadata": {"team/a.b_c-1": "x" * 512},
    }
    snake = {
        "image": "python:3.11",
        "cpu_cores": 0.5,
        "memory_mb": 1024,
        "storage_gb": 20,
        "gpu_count": 1,
        "max_cost_credits": 0.5,
        "command": ["python", "-c", ""],
        "persistent": True,
        "timeout_seconds": 60,
        "expires_at": "2030-01-31T10:00:00",
        "environment": {"A": "1", "B": ""},
        "networking": True,
        "port_mapping": {"container_port": 8080, "protocol": "udp"},
        "isolation": "gvisor",
        "name": "ein Name",
        "metadata": {"team/a.b_c-1": "x" * 512},
    }
    answer = await client.post("containers", json=camel if spelling == "camel" else snake)
    assert answer.status_code == 201, answer.text
    request = fakes.containers.requests[0]
    assert request.resources == Resources(0.5, 1024, 20, 1)
    assert request.command == ("python", "-c", "")
    assert request.expires_at == datetime(2030, 1, 31, 10, tzinfo=UTC)
    assert (request.timeout_seconds, request.max_cost_credits) == (60, 0.5)
    assert request.port_mapping == PortMapping(8080, "udp")
    assert (request.isolation, request.name) == ("gvisor", "ein Name")
    assert request.environment == {"A": "1", "B": ""}


async def test_nulls_are_left_out_fields(client: httpx.AsyncClient) -> None:
    optional = ("command", "storageGb", "gpuCount", "timeoutSeconds", "expires_at", "environment", "name", "metadata")
    nulls = dict.fromkeys((*optional, "networking", "portMapping", "isolation", "persistent"))
    assert (await create(client, **nulls)).status_code == 201


async def test_both_spellings_with_one_value(client: httpx.AsyncClient) -> None:
    assert (await create(client, cpu_cores=1, memory_mb=512)).status_code == 201


LONG = "x" * 70_000

WRONG_CREATES: list[tuple[dict[str, Any], str, str]] = [
    ({"image": ...}, "image", "is missing"),
    ({"image": None}, "image", "must be a string"),
    ({"image": 5}, "image", "must be a string"),
    ({"cpuCores": ...}, "cpuCores", "is missing"),
    ({"cpuCores": 0.05}, "cpuCores", "must be at least 0.1"),
    ({"cpuCores": 1025}, "cpuCores", "must be at most 1024"),
    ({"cpuCores": True}, "cpuCores", "must be a number"),
    ({"cpuCores": "1"}, "cpuCores", "must be a number"),
    ({"cpuCores": 10**400}, "cpuCores", ""),
    ({"cpu_cores": 2}, "cpuCores", "given twice"),
    ({"memoryMb": 63}, "memoryMb", "must be at least 64"),
    ({"memoryMb": 512.5}, "memoryMb", "must be a whole number"),
    ({"memoryMb": False}, "memoryMb", "must be a whole number"),
    ({"memoryMb": 10**300}, "memoryMb", "must be at most"),
    ({"memoryMB": 512}, "memoryMB", "did you mean memoryMb?"),
    ({"storageGb": 0}, "storageGb", "must be at least 1"),
    ({"storageGb": "5"}, "storageGb", "must be a whole number"),
    ({"gpuCount": -1}, "gpuCount", "must be at least 0"),
    ({"maxCostCredits": 0}, "maxCostCredits", "must be more than 0"),
    ({"maxCostCredits": -1}, "maxCostCredits", "must be more than 0"),
    ({"maxCostCredits": 1.1e12}, "maxCostCredits", "must be at most 1000000000000"),
    ({"command": []}, "command", "must have at least 1 item"),
    ({"command": "ls -l"}, "command", '["sh", "-c", "…"]'),
    ({"command": [""]}, "command", "must start with the name of a program"),
    ({"command": ["a", 1]}, "command[1]", "must be a string"),
    ({"command": ["a\0"]}, "command", "NUL"),
    ({"command": ["a"] * 1001}, "command", "must have at most 1000 items"),
    ({"command": ["a", "é" * 150_000]}, "command", "longer than 262144 bytes"),
    ({"persistent": "yes"}, "persistent", "must be true or false"),
    ({"persistent": 1}, "persistent", "must be true or false"),
    ({"timeoutSeconds": 0}, "timeoutSeconds", "must be at least 1"),
    ({"timeoutSeconds": 1.5}, "timeoutSeconds", "must be a whole number"),
    ({"timeoutSeconds": 2**31}, "timeoutSeconds", "must be at most"),
    ({"expiresAt": "tomorrow"}, "expiresAt", "ISO 8601"),
    ({"expiresAt": 1893456000}, "expiresAt", "ISO 8601"),
    ({"expiresAt": "0001-01-01T00:00:00+23:00"}, "expiresAt", "ISO 8601"),
    ({"environment": []}, "environment", "must be an object"),
    ({"environment": {"": "x"}}, "environment", "names that are not empty"),
    ({"environment": {"A=B": "x"}}, "environment.A=B", "names that are not empty"),
    ({"environment": {"A\0": "x"}}, "environment.", "names that are not empty"),
    ({"environment": {"A": "x\0"}}, "environment", "NUL"),
    ({"environment": {"A": 1}}, "environment.A", "must be a string"),
    ({"environment": {"A": LONG}}, "environment", "longer than 65536 bytes"),
    ({"environment": {"A": {"value": LONG}}}, "environment", "longer than 65536 bytes"),
    ({"environment": {"A": {}}}, "environment.A.value", "is missing"),
    ({"environment": {"A": {"value": 1}}}, "environment.A.value", "must be a string"),
    ({"environment": {"A": {"value": "x", "secret": "yes"}}}, "environment.A.secret", "must be true or false"),
    ({"environment": {"A": {"value": "x", "secrte": True}}}, "environment.A.secrte", "did you mean secret?"),
    ({"idleTimeoutSeconds": 0}, "idleTimeoutSeconds", "must be at least 1"),
    ({"environment": {f"A{n}": "x" * 60_000 for n in range(9)}}, "environment", "larger than 524288 bytes"),
    ({"environment": {f"A{n}": "" for n in range(501)}}, "environment", "at most 500 items"),
    ({"portMapping": {"containerPort": 80}}, "portMapping", "needs networking: true"),
    ({"networking": True, "portMapping": {}}, "portMapping.containerPort", "is missing"),
    ({"networking": True, "portMapping": 80}, "portMapping", "must be an object"),
    ({"networking": True, "portMapping": {"containerPort": 0}}, "portMapping.containerPort", "at least 1"),
    ({"networking": True, "portMapping": {"containerPort": 65536}}, "portMapping.containerPort", "at most 65535"),
    ({"networking": True, "portMapping": {"containerPort": 1, "protocol": "icmp"}}, "portMapping.protocol", "'tcp'"),
    ({"networking": True, "portMapping": {"port": 1}}, "portMapping.port", "is not a field"),
    ({"networking": 1}, "networking", "must be true or false"),
    ({"isolation": "strong"}, "isolation", "'gvisor'"),
    ({"name": "x" * 129}, "name", "at most 128 characters"),
    ({"name": ""}, "name", "at least 1 character"),
    ({"name": "a\nb"}, "name", "printable"),
    ({"metadata": {"a": 1}}, "metadata.a", "must be a string"),
    ({"metadata": {"a b": ""}}, "metadata.a b", "letters, digits"),
    ({"metadata": {"": ""}}, "metadata", "letters, digits"),
    ({"metadata": {"a" * 65: ""}}, "metadata." + "a" * 65, "letters, digits"),
    ({"metadata": {"a": "x" * 513}}, "metadata.a", "at most 512 characters"),
    ({"metadata": {f"a{n}": "" for n in range(51)}}, "metadata", "at most 50 items"),
    ({"cpus": 2}, "cpus", "is not a field of this request"),
    ({"imgae": "x"}, "imgae", "did you mean image?"),
    ({"": 1}, "''", "is not a field"),
    ({"x" * 100_000: 1}, "x" * 77 + "...", "is not a field"),
]


@pytest.mark.parametrize(("fields", "name", "said"), WRONG_CREATES, ids=[str(row[0])[:50] for row in WRONG_CREATES])
async def test_a_wrong_create(
    client: httpx.AsyncClient, fakes: Fakes, fields: dict[str, Any], name: str, said: str
) -> None:
    answer = await create(client, **fields)
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert body["code"] == "invalid_request"
    named = [problem["field"] for problem in body["details"]["fields"]]
    assert any(field.startswith(name) for field in named), named
    assert said in body["error"]
    assert fakes.containers.requests == []


@pytest.mark.parametrize("name", ["egress", "portMappings"])
async def test_parts_of_the_contract_that_are_not_supported_yet(client: httpx.AsyncClient, name: str) -> None:
    answer = await create(client, **{name: 5})
    assert (answer.status_code, answer.json()["code"]) == (422, "not_supported")
    assert f"{name} is not supported yet" in answer.json()["error"]
    assert (await create(client, **{name: None})).status_code == 201


async def test_several_mistakes_are_told_at_once(client: httpx.AsyncClient) -> None:
    answer = await create(client, cpuCores=0, memoryMb=0, maxCostCredits=0)
    assert [item["field"] for item in answer.json()["details"]["fields"]] == ["cpuCores", "memoryMb", "maxCostCredits"]


@pytest.mark.parametrize("body", ["[]", "1", "null", '"x"', "true"])
async def test_a_body_that_is_no_object(client: httpx.AsyncClient, body: str) -> None:
    answer = await client.post("containers", content=body)
    assert answer.status_code == 422
    assert "must be a JSON object" in answer.json()["error"]


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", "", "x"])
async def test_the_content_type_does_not_matter(client: httpx.AsyncClient, kind: str) -> None:
    text = json.dumps(CREATE)[:-1] + ', // a comment\n"timeout_seconds": 60 }'
    answer = await client.post("containers", content=text, headers={"Content-Type": kind})
    assert answer.status_code == 201, answer.text


async def test_a_program_with_line_breaks_in_a_string(client: httpx.AsyncClient, fakes: Fakes) -> None:
    text = json.dumps({**CREATE, "command": ["bash", "-c", "PROGRAM"]}).replace("PROGRAM", "one # // two\n\tthree")
    assert (await client.post("containers", content=text)).status_code == 201
    assert fakes.containers.requests[0].command == ("bash", "-c", "one # // two\n\tthree")


WRONG_EXECS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "command", "is missing"),
    ({"command": None}, "command", "must be a list"),
    ({"command": []}, "command", "at least 1 item"),
    ({"command": "ls"}, "command", "must be a list of strings"),
    ({"command": ["ls"], "workingDirectory": "here"}, "workingDirectory", "must be an absolute path"),
    ({"command": ["ls"], "working_directory": "/a\0"}, "workingDirectory", "NUL"),
    ({"command": ["ls"], "workingDirectory": "/" + "a" * 4096}, "workingDirectory", "longer than 4096 bytes"),
    ({"command": ["ls"], "timeoutSeconds": 0}, "timeoutSeconds", "at least 1"),
    ({"command": ["ls"], "files": {}}, "files", "must be a list"),
    ({"command": ["ls"], "files": ["a"]}, "files[0]", "must be an object"),
    ({"command": ["ls"], "files": [{"content": ""}]}, "files[0].name", "is missing"),
    ({"command": ["ls"], "files": [{"name": "a"}]}, "files[0].content", "is missing"),
    ({"command": ["ls"], "files": [{"name": "", "content": ""}]}, "files[0].name", "must not be empty"),
    ({"command": ["ls"], "files": [{"name": "a\0", "content": ""}]}, "files[0].name", "NUL"),
    ({"command": ["ls"], "files": [{"name": "a/", "content": ""}]}, "files[0].name", "must name a file"),
    ({"command": ["ls"], "files": [{"name": "..", "content": ""}]}, "files[0].name", "must name a file"),
    ({"command": ["ls"], "files": [{"name": "a" * 4097, "content": ""}]}, "files[0].name", "longer than 4096 bytes"),
    ({"command": ["ls"], "files": [{"name": "a", "content": 1}]}, "files[0].content", "must be a string"),
    ({"command": ["ls"], "files": [{"name": "a", "content": "", "encoding": "hex"}]}, "files[0].encoding", "'base64'"),
    ({"command": ["ls"], "files": [{"name": "a", "content": "", "mode": 5}]}, "files[0].mode", "is not a field"),
    ({"command": ["ls"], "user": "root"}, "user", "is not supported yet"),
    ({"command": ["ls"], "stdin": "x"}, "stdin", "is not supported yet"),
    ({"command": ["ls"], "tty": True}, "tty", "is not supported yet"),
    ({"command": ["ls"], "stream": True}, "stream", "is not supported yet"),
    ({"command": ["ls"], "background": True}, "background", "is not supported yet"),
    ({"command": ["ls"], "cwd": "/"}, "cwd", "is not a field"),
    ({"cmd": ["ls"]}, "cmd", "is not a field"),
]
WRONG_EXECS += [
    (
        {
            "command": ["ls"],
            "files": [{"name": "a", "content": "YQ=="}, {"name": "b", "content": bad, "encoding": "base64"}],
        },
        "files[1].content",
        "is not valid base64",
    )
    for bad in ("Y", "YQ", "YQ=", "Y Q", "YQ==YQ==", "ÿ", "Y!==", "====")
]


@pytest.mark.parametrize(("fields", "name", "said"), WRONG_EXECS, ids=[str(row[0])[:70] for row in WRONG_EXECS])
async def test_a_wrong_exec(
    client: httpx.AsyncClient, fakes: Fakes, fields: dict[str, Any], name: str, said: str
) -> None:
    container = fakes.add_container()
    answer = await client.post(f"containers/{container.id}/exec", json=fields)
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert body["code"] == ("not_supported" if "not supported" in said else "invalid_request")
    assert name in [problem["field"] for problem in body["details"]["fields"]]
    assert said in body["error"]
    assert fakes.executions.requests == []


async def test_an_exec_with_everything(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    body = {
        "command": ["python3", "app.py"],
        "files": [
            {"name": "app.py", "content": "print('é')\n"},
            {"name": "/data/b", "content": "AAEC/w==", "encoding": "base64"},
            {"name": "c", "content": "AAEC\r\n/w==\n", "encoding": "base64"},
            {"name": "d", "content": "", "encoding": "base64"},
        ],
        "timeout_seconds": 5,
        "working_directory": "/workspace",
        "environment": {"A": "1"},
        "stream": False,
        "stdin": None,
    }
    answer = await client.post(f"containers/{container.id}/exec", json=body)
    assert answer.status_code == 200, answer.text
    request = fakes.executions.requests[0]
    assert request.command == ("python3", "app.py")
    assert [(file.name, file.content) for file in request.files] == [
        ("app.py", "print('é')\n".encode()),
        ("/data/b", b"\0\1\2\xff"),
        ("c", b"\0\1\2\xff"),
        ("d", b""),
    ]
    assert (request.timeout_seconds, request.working_directory) == (5, "/workspace")
    assert request.environment == {"A": "1"}


async def test_an_exec_with_the_least(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    assert (await client.post(f"containers/{container.id}/exec", json={"command": ["ls"]})).status_code == 200
    request = fakes.executions.requests[0]
    assert (request.files, request.timeout_seconds) == ((), None)
    assert (request.working_directory, request.environment) == (None, {})


@pytest.mark.parametrize(
    ("body", "passed_on"),
    [
        ({"timeoutSeconds": 60}, ContainerChange(60)),
        ({"timeout_seconds": 60}, ContainerChange(60)),
        ({"expiresAt": "2030-01-01T00:00:00Z"}, ContainerChange(None, datetime(2030, 1, 1, tzinfo=UTC))),
        ({"expires_at": "2030-01-01", "timeoutSeconds": 9}, ContainerChange(9, datetime(2030, 1, 1, tzinfo=UTC))),
        ({"idleTimeoutSeconds": 5}, ContainerChange(None, None, 5)),
        ({"idle_timeout_seconds": 5, "timeoutSeconds": 9}, ContainerChange(9, None, 5)),
    ],
)
async def test_a_new_deadline(
    client: httpx.AsyncClient, fakes: Fakes, body: dict[str, Any], passed_on: ContainerChange
) -> None:
    container = fakes.add_container()
    assert (await client.patch(f"containers/{container.id}", json=body)).status_code == 200
    assert fakes.containers.updates == [passed_on]


@pytest.mark.parametrize(
    "body", [{}, {"timeoutSeconds": None}, {"timeoutSeconds": -1}, {"idleTimeoutSeconds": 0}, {"cpuCores": 2}]
)
async def test_a_wrong_deadline(client: httpx.AsyncClient, fakes: Fakes, body: dict[str, Any]) -> None:
    container = fakes.add_container()
    assert (await client.patch(f"containers/{container.id}", json=body)).status_code == 422
    assert fakes.containers.updates == []


@pytest.mark.parametrize(
    ("query", "where", "page"),
    [
        ("", ContainerFilter(), Page(50, 0)),
        ("limit=100&offset=7", ContainerFilter(), Page(100, 7)),
        ("status=running", ContainerFilter(ContainerStatus.RUNNING), Page()),
        ("containerType=compute", ContainerFilter(None, ContainerType.COMPUTE), Page()),
        ("container_type=SESSION", ContainerFilter(None, ContainerType.SESSION), Page()),
        ("status=RUNNING&status=RUNNING", ContainerFilter(ContainerStatus.RUNNING), Page()),
        (
            "name=a%20b&metadata[x]=1&metadata[y/z]=2",
            ContainerFilter(None, None, "a b", {"x": "1", "y/z": "2"}),
            Page(),
        ),
    ],
)
async def test_filters_of_containers(
    client: httpx.AsyncClient, fakes: Fakes, query: str, where: ContainerFilter, page: Page
) -> None:
    answer = await client.get(f"containers?{query}")
    assert answer.status_code == 200, answer.text
    assert fakes.containers.asked == [(where, page)]


@pytest.mark.parametrize(
    ("query", "where", "page"),
    [
        ("", ExecutionFilter(), Page(50, 0)),
        ("status=RUNNING&limit=1", ExecutionFilter(None, ExecutionStatus.RUNNING), Page(1, 0)),
        ("language=python", ExecutionFilter(None, None, "python"), Page()),
    ],
)
async def test_filters_of_executions(
    client: httpx.AsyncClient, fakes: Fakes, query: str, where: ExecutionFilter, page: Page
) -> None:
    answer = await client.get(f"containers/executions?{query}")
    assert answer.status_code == 200, answer.text
    assert fakes.executions.asked == [(where, page)]


@pytest.mark.parametrize(
    ("query", "name", "said"),
    [
        ("limit=0", "limit", "at least 1"),
        ("limit=101", "limit", "at most 100"),
        ("limit=x", "limit", "whole number"),
        ("limit=1.5", "limit", "whole number"),
        ("limit=", "limit", "whole number"),
        ("limit[a]=1", "limit", "whole number"),
        ("limit=1&limit=2", "limit", "given twice"),
        ("offset=-1", "offset", "at least 0"),
        ("offset=2147483648", "offset", "at most"),
        ("offset=" + "9" * 5000, "offset", "too large"),
        ("status=sleeping", "status", "must be one of QUEUED, STARTING, RUNNING"),
        ("containerType=ONE_OFF", "containerType", "must be one of COMPUTE, SESSION"),
        ("container_type=SESSION&containerType=COMPUTE", "containerType", "given twice"),
        ("name=%00", "name", "NUL"),
        ("metadata=x", "metadata", "must be an object"),
        ("metadata[a]=1&metadata[a]=2", "metadata[a]", "given twice"),
        ("metadata[a%20b]=1", "metadata.a b", "letters, digits"),
        ("stauts=RUNNING", "stauts", "did you mean status?"),
    ],
)
async def test_wrong_filters(client: httpx.AsyncClient, query: str, name: str, said: str) -> None:
    answer = await client.get(f"containers?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["details"]["fields"][0]["field"] == name
    assert said in answer.json()["error"]


async def test_filters_of_one_containers_executions(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    answer = await client.get(f"containers/{container.id}/executions?status=Failed&offset=3")
    assert answer.status_code == 200
    assert fakes.executions.asked == [(ExecutionFilter(container.id, ExecutionStatus.FAILED), Page(50, 3))]
    wrong = await client.get(f"containers/{container.id}/executions?language=python")
    assert wrong.status_code == 422


@pytest.mark.parametrize(
    ("body", "credits"),
    [
        ({"cpuCores": 8.0, "memoryMb": 32768, "storageGb": 100, "gpuCount": 0, "timeoutSeconds": 7200}, 66.0),
        ({"cpu_cores": 1, "memory_mb": 1024}, 0.2125),
        ({"cpuCores": 1, "memoryMb": 1024, "gpuCount": 1, "timeoutSeconds": 3600}, 102.55),
    ],
)
async def test_an_estimate(client: httpx.AsyncClient, body: dict[str, Any], credits: float) -> None:
    answer = (await client.post("estimate", json=body)).json()
    assert answer["estimated_credits"] == answer["estimatedCredits"] == pytest.approx(credits)
    assert sum(answer["breakdown"].values()) == pytest.approx(credits, abs=1e-5)
    assert set(answer["breakdown"]) == {"cpu", "memory", "storage", "gpu"}
    assert answer["timeout_seconds"] == body.get("timeoutSeconds", 300)


async def test_secret_variables(client: httpx.AsyncClient, fakes: Fakes) -> None:
    environment = {"A": "1", "B": {"value": "hidden", "secret": True}, "C": {"value": "3"}}
    assert (await create(client, environment=environment)).status_code == 201
    request = fakes.containers.requests[0]
    assert request.environment == {"A": "1", "B": "***", "C": "3"}
    assert request.secrets == {"B": "hidden"}
    assert "hidden" not in repr(request)
    container = fakes.add_container()
    body = {"command": ["env"], "environment": environment}
    assert (await client.post(f"containers/{container.id}/exec", json=body)).status_code == 200
    assert fakes.executions.requests[0].environment == {"A": "1", "B": "hidden", "C": "3"}
    assert "hidden" not in repr(fakes.executions.requests[0])
