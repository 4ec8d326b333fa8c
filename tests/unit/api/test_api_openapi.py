"""The OpenAPI document: checked in, complete, and true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from cognitora_server.api import audit, containers, create_app, estimates, executions, files, service, usage
from cognitora_server.api.app import BASE_PATH
from cognitora_server.api.write_openapi import document_text

from .fakes import Fakes

FILE = Path(__file__).parents[3] / "spec" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
OPERATIONS = [
    (method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]
IDS = [f"{method} {path}" for method, path, _ in OPERATIONS]


def test_the_checked_in_document_is_the_apps() -> None:
    assert FILE.read_text() == document_text(), "run scripts/write-openapi and commit spec/openapi.json"


async def test_the_served_document_is_the_checked_in_one(client: httpx.AsyncClient) -> None:
    assert (await client.get("http://test/openapi.json")).json() == DOCUMENT


def test_every_route_is_in_it(fakes: Fakes) -> None:
    app = create_app(fakes.services())
    documented = {(method.upper(), path) for method, path, _ in OPERATIONS}
    served = set(routes_of(app))
    assert {("POST", "/api/v1/compute/containers"), ("GET", "/health")} <= served
    assert served == documented


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    for prefix, module in (
        *((BASE_PATH, noun) for noun in (audit, containers, estimates, executions, files, usage)),
        ("", service),
    ):
        for route in module.router.routes:
            assert isinstance(route, APIRoute)
            for method in route.methods or ():
                yield method, prefix + route.path
    for route in app.routes:
        if isinstance(route, APIRoute) and route.path not in ("/docs", "/metrics"):
            for method in route.methods or ():
                yield method, route.path


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_an_operation_says_everything(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    statuses = {int(status) for status in operation["responses"]}
    needed = {500}
    if path.startswith("/api/"):
        assert operation["security"] == [{"apiKey": []}]
        needed |= {401, 429}
    else:
        assert "security" not in operation
    if method in ("post", "patch"):
        needed |= {408, 413, 422, 503}
        content = operation["requestBody"]["content"]["application/json"]
        assert content["schema"]["$ref"]
        assert content["examples"]
    if "{" in path:
        needed |= {404}
    assert needed <= statuses
    assert len(statuses & {200, 201}) == 1
    for status, response in operation["responses"].items():
        content = response["content"]["application/json"]
        assert content["schema"]
        if int(status) >= 400 and path != "/ready":
            assert content["schema"]["$ref"] == "#/components/schemas/ErrorAnswer"
        assert "example" in content or path == "/ready"
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    assert ("Idempotency-Key" in names) == (method == "post")


def test_bearer_security_is_declared() -> None:
    scheme = DOCUMENT["components"]["securitySchemes"]["apiKey"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_camel_case_is_documented_and_snake_case_mentioned() -> None:
    assert "snake_case" in DOCUMENT["info"]["description"]
    fields = DOCUMENT["components"]["schemas"]["ContainerCreate"]["properties"]
    assert {"cpuCores", "maxCostCredits", "portMapping"} <= set(fields)
    assert not [name for name in fields if "_" in name]
    assert DOCUMENT["components"]["schemas"]["ContainerCreate"]["properties"]["memoryMb"]["minimum"] == 64


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        _, _, kind, name = reference.split("/")
        assert name in DOCUMENT["components"][kind]
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]


def test_every_link_leads_somewhere() -> None:
    parameters = {
        operation["operationId"]: {parameter["name"] for parameter in operation.get("parameters", [])}
        for _, _, operation in OPERATIONS
    }
    links = [
        link for _, _, operation in OPERATIONS for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]  # fmt: skip
    assert len(links) >= 8
    for link in links:
        assert set(link["parameters"]) <= parameters[link["operationId"]]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
async def test_the_examples_are_true(
    client: httpx.AsyncClient, fakes: Fakes, method: str, path: str, operation: dict[str, Any]
) -> None:
    container = fakes.add_container()
    ran = await client.post(f"containers/{container.id}/exec", json={"command": ["ls"]})
    url = path.format(container_id=container.id, execution_id=ran.json()["executionId"])
    status = next(status for status in ("200", "201") if status in operation["responses"])
    example = operation["responses"][status]["content"]["application/json"]["example"]
    bodies = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
    query = {"path": "/workspace/data.csv"} if path.endswith("/files") else {}
    for body in [item["value"] for item in bodies.values()] or [None]:
        answer = await client.request(method.upper(), f"http://test{url}", json=body, params=query)
        assert answer.status_code == int(status), answer.text
        assert shape(answer.json()) == shape(example)


def shape(value: Any) -> Any:
    """Return the names in an answer, without values; what is a free map or a list counts as a leaf."""
    if isinstance(value, dict):
        free = ("environment", "metadata", "executions")
        return {
            name: shape(item) if name not in free and not isinstance(item, list) else ...
            for name, item in value.items()
        }
    return ...
