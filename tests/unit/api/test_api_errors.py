"""Errors: one form, the right status, an id to find them by, and nothing of the inside."""

from __future__ import annotations

import inspect
import logging
import re
from typing import Any

import httpx
import pytest

from cognitora_server.api.errors import STATUS, Busy, RateLimited, status_of
from cognitora_server.domain import errors, images
from cognitora_server.domain.errors import CognitoraError

from .fakes import Fakes

#: What an error is about, where that goes without saying.
NAMED = {
    errors.IsolationUnavailable: "isolation",
    errors.NetworkingUnavailable: "networking",
    images.InvalidImageReference: "image",
    images.ImageNotFound: "image",
    images.ImageUnauthorized: "image",
    images.ImageTooLarge: "image",
}

CREATE = {"image": "python:3.11", "cpuCores": 1, "memoryMb": 512, "maxCostCredits": 10}


def is_error(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert set(body) == {"error", "code", "request_id", "details"}
    assert isinstance(body["error"], str)
    assert body["error"]
    assert body["request_id"] == answer.headers["X-Request-Id"]
    return body


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic cgk_one", "cgk_one", "Bearer cgk_one x", "Bearer \xe9"],
)
async def test_without_a_valid_key(client: httpx.AsyncClient, fakes: Fakes, header: str | None) -> None:
    del client.headers["Authorization"]
    headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
    for method, address in [
        ("POST", "containers"),
        ("GET", "containers"),
        ("GET", "containers/executions"),
        ("GET", "containers/executions/x"),
        ("GET", "containers/x"),
        ("PATCH", "containers/x"),
        ("DELETE", "containers/x"),
        ("POST", "containers/x/exec"),
        ("GET", "containers/x/logs"),
        ("GET", "containers/x/executions"),
        ("POST", "estimate"),
    ]:
        answer = await client.request(method, address, headers=headers)
        assert "API key" in is_error(answer, 401, "unauthorized")["error"]
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_ignores_case(client: httpx.AsyncClient, scheme: str) -> None:
    answer = await client.get("containers", headers={"Authorization": f"{scheme} cgk_one"})
    assert answer.status_code == 200


@pytest.mark.parametrize("address", ["/nothing", "/api/v1", "/api/v1/compute/containers/", "/api/v2/x", "//", "/%ff"])
async def test_unknown_addresses(client: httpx.AsyncClient, address: str) -> None:
    is_error(await client.get(f"http://test{address}"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "address", "allowed"),
    [
        ("PUT", "containers", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "containers/x", {"DELETE", "GET", "HEAD", "PATCH"}),
        ("POST", "containers/executions/x", {"GET", "HEAD"}),
        ("OPTIONS", "containers/executions", {"GET", "HEAD"}),
        ("GET", "estimate", {"POST"}),
        ("POST", "/docs", {"GET", "HEAD"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("BREW", "containers", {"GET", "HEAD", "POST"}),
    ],
)
async def test_unknown_methods(client: httpx.AsyncClient, method: str, address: str, allowed: set[str]) -> None:
    url = f"http://test{address}" if address.startswith("/") else address
    answer = await client.request(method, url)
    body = is_error(answer, 405, "method_not_allowed")
    assert set(re.findall(r"\w+", answer.headers["Allow"])) == allowed
    assert answer.headers["Allow"] in body["error"]


@pytest.mark.parametrize("address", ["containers", "/health", "/", "/docs", "/openapi.json"])
async def test_head_wherever_there_is_get(client: httpx.AsyncClient, address: str) -> None:
    url = f"http://test{address}" if address.startswith("/") else address
    assert (await client.head(url)).status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidRequest("Wrong.", field="x"), 422),
        (errors.NotFound(), 404),
        (errors.Conflict("Ended."), 409),
        (errors.ResourcesUnavailable("Too much.", field="x", largest=2), 422),
        (errors.IsolationUnavailable(), 422),
        (errors.NetworkingUnavailable(), 422),
        (errors.TooLarge(), 413),
        (errors.GuestUnreachable(), 502),
        (images.InvalidImageReference("Bad name."), 422),
        (images.ImageNotFound("No such image."), 422),
        (images.ImageUnauthorized(), 422),
        (images.ImageTooLarge(), 422),
        (images.ImageInUse(), 409),
        (images.RegistryUnreachable(), 502),
        (RateLimited(retry_after_seconds=7), 429),
        (Busy(), 503),
    ],
)
async def test_errors_of_the_control_layer(
    client: httpx.AsyncClient, fakes: Fakes, error: CognitoraError, status: int
) -> None:
    fakes.containers.error = error
    for headers in ({}, {"Idempotency-Key": "a"}):
        answer = await client.post("containers", json=CREATE, headers=headers)
        body = is_error(answer, status, error.code)
        assert body["error"] == error.message
        details = dict(body["details"])
        if status == 422:
            assert details.pop("fields") == [{"field": NAMED.get(type(error), "x"), "message": error.message}]
        assert details == error.details
        if status in (429, 503):
            assert answer.headers["Retry-After"] == str(error.details.get("retry_after_seconds", 2))


@pytest.mark.parametrize(
    "error", [errors.DriverError("mount /secret failed", path="/secret"), CognitoraError("/secret")]
)
async def test_errors_of_the_host_stay_inside(
    client: httpx.AsyncClient, fakes: Fakes, error: CognitoraError, caplog: pytest.LogCaptureFixture
) -> None:
    fakes.containers.error = error
    answer = await client.post("containers", json=CREATE)
    body = is_error(answer, 500, error.code)
    assert "secret" not in answer.text
    assert "/secret" in caplog.text
    assert body["request_id"] in {getattr(record, "request_id", None) for record in caplog.records}


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "a"}])
async def test_unexpected_errors(
    client: httpx.AsyncClient, fakes: Fakes, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    fakes.containers.error = RuntimeError("secret words")
    with caplog.at_level(logging.ERROR):
        answer = await client.post("containers", json=CREATE, headers=headers)
    body = is_error(answer, 500, "internal")
    assert "secret" not in answer.text
    assert body["request_id"] in body["error"]
    assert "RuntimeError: secret words" in caplog.text
    assert body["request_id"] in {getattr(record, "request_id", None) for record in caplog.records}


def test_every_error_has_a_status() -> None:
    for module in (errors, images):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, CognitoraError) and kind is not CognitoraError:
                nearest = next(base for base in kind.__mro__ if base in STATUS)
                assert nearest is not CognitoraError, f"{kind.__name__} has no status"
                assert 400 <= status_of(kind()) < 600


@pytest.mark.parametrize("given", ["abc-1", "req_x", "a" * 128, "A.b_c:d/e+f=@"])
async def test_a_valid_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    for address in ("http://test/health", "containers", "http://test/nothing"):
        answer = await client.get(address, headers={"X-Request-Id": given})
        assert answer.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "a\tb", "<script>", "\xe9"])
async def test_another_request_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("containers", headers=[(b"X-Request-Id", given.encode("latin-1"))])
    assert re.fullmatch(r"req_[0-9a-z]{20}", answer.headers["X-Request-Id"])


async def test_request_ids_differ(client: httpx.AsyncClient) -> None:
    answers = [await client.get("http://test/health") for _ in range(3)]
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == 3


async def test_the_server_itself_needs_no_key(client: httpx.AsyncClient, fakes: Fakes) -> None:
    del client.headers["Authorization"]
    assert (await client.get("http://test/health")).json() == {"status": "ok"}
    assert (await client.get("http://test/ready")).json() == {"status": "ready", "problems": []}
    about = (await client.get("http://test/")).json()
    for link in ("docs", "openapi", "health", "ready"):
        assert (await client.get(f"http://test{about[link]}")).status_code == 200
    fakes.health.problems = ["No isolation works."]
    answer = await client.get("http://test/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.json()["problems"] == ["No isolation works."]
    assert "No isolation works." in answer.json()["error"]
    assert answer.headers["Retry-After"]


async def test_the_documentation_needs_no_other_host(client: httpx.AsyncClient) -> None:
    page = await client.get("http://test/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("// ", "").replace("\n//", "")
    found = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(found) == 3
    for address in found:
        assert (await client.get(f"http://test{address}")).status_code == 200
