"""GET /metrics: who may read it, and what requests it counts."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cognitora_server.api import create_app

from .fakes import Fakes
from .fakes import fakes as new_fakes

TOKEN = "a-token-of-the-operator"


def client_of(fakes: Fakes, address: str = "127.0.0.1", **settings: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(fakes.services(**settings)), client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_requests_are_counted_by_template(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    for path in (f"containers/{container.id}", "containers/cnt_nonsense", "nothing/here", "containers"):
        await client.get(path)
    await client.get("containers", headers={"Authorization": "Bearer wrong"})
    await client.head("containers")
    await client.post("containers", content=b"{")
    answer = await client.get("http://test/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    found = samples(answer.text)
    name, base = "cognitora_requests_total", "/api/v1/compute"
    assert found[name, "GET", f"{base}/containers/{{container_id}}", "200"] == 1
    assert found[name, "GET", f"{base}/containers/{{container_id}}", "404"] == 1
    assert found[name, "GET", "none", "404"] == 1
    assert found[name, "GET", f"{base}/containers", "401"] == 1
    assert found[name, "GET", f"{base}/containers", "200"] == 2
    assert found[name, "POST", f"{base}/containers", "422"] == 1
    assert found["cognitora_request_seconds_count", "GET", f"{base}/containers"] == 3
    assert container.id not in answer.text
    assert found["cognitora_build_info", "0.1.0"] == 1
    assert found["process_resident_memory_bytes",] > 0


async def test_two_apps_count_apart(fakes: Fakes) -> None:
    async with client_of(fakes) as one, client_of(new_fakes()) as other:
        await one.get("/health")
        assert "/health" in (await one.get("/metrics")).text
        assert "/health" not in (await other.get("/metrics")).text


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
async def test_without_a_token_this_host_may_read(fakes: Fakes, address: str) -> None:
    async with client_of(fakes, address) as client:
        assert (await client.get("/metrics")).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer cgk_one"}])
async def test_without_a_token_nobody_else_may(fakes: Fakes, headers: dict[str, str]) -> None:
    async with client_of(fakes, "192.0.2.1") as client:
        answer = await client.get("/metrics", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert "metrics_token" in answer.json()["error"]


async def test_what_a_proxy_hands_on_is_not_from_this_host(fakes: Fakes) -> None:
    async with client_of(fakes) as client:
        assert (await client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"})).status_code == 401


@pytest.mark.parametrize(("given", "status"), [(TOKEN, 200), ("wrong", 401), ("cgk_one", 401), (None, 401)])
async def test_with_a_token_it_is_wanted_from_everybody(fakes: Fakes, given: str | None, status: int) -> None:
    for address in ("127.0.0.1", "192.0.2.1", "::ffff:192.0.2.1"):
        async with client_of(fakes, address, metrics_token=TOKEN) as client:
            headers = {"Authorization": f"Bearer {given}"} if given else {}
            assert (await client.get("/metrics", headers=headers)).status_code == status
