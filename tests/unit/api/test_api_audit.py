"""The audit log: what goes into it, and who may read it."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from fastapi.routing import APIRoute

from cognitora_server.api import audit, containers, estimates, executions, files, service
from cognitora_server.api.auditing import ACTIONS, HARMLESS
from cognitora_server.domain.audit import Actor
from cognitora_server.domain.errors import Conflict

from .fakes import NOW, Fakes

CREATE = {"image": "python:3.11", "cpuCores": 1, "memoryMb": 512, "maxCostCredits": 5}


def test_every_route_that_changes_something_has_a_word() -> None:
    routes = [
        route for module in (audit, containers, estimates, executions, files, service) for route in module.router.routes
    ]
    changing = {
        route.name for route in routes if isinstance(route, APIRoute) and (route.methods or set()) - {"GET", "HEAD"}
    }
    assert changing == set(ACTIONS) | HARMLESS


async def test_what_is_done_is_written_down(client: httpx.AsyncClient, fakes: Fakes) -> None:
    created = (await client.post("containers", json=CREATE, headers={"X-Request-Id": "mine"})).json()
    address = f"containers/{created['id']}"
    body = {"command": ["curl", "-H", "Authorization: secret"], "environment": {"TOKEN": "secret"}}
    ran = (await client.post(f"{address}/exec", json=body)).json()
    await client.patch(address, json={"timeoutSeconds": 60})
    await client.put(f"{address}/files", params={"path": "/a"}, content=b"secret")
    await client.delete(address)
    assert [(entry.action, entry.status) for entry in fakes.audit.done] == [
        ("container.create", 201),
        ("container.exec", 200),
        ("container.update", 200),
        ("container.write_file", 200),
        ("container.cancel", 200),
    ]
    assert {entry.container_id for entry in fakes.audit.done} == {created["id"]}
    assert {(e.actor, e.account_id, e.key_id, e.key_name) for e in fakes.audit.done} == {
        (Actor.KEY, "acc_1", "key_one", "key of one")
    }
    assert fakes.audit.done[0].request_id == "mine"
    assert fakes.audit.done[0].remote_address == "127.0.0.1"
    assert (fakes.audit.done[1].execution_id, fakes.audit.done[1].details) == (ran["executionId"], {"program": "curl"})
    assert "secret" not in repr(fakes.audit.done)
    assert not fakes.audit.at_work


async def test_what_changes_nothing_is_not(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    for path in ("containers", f"containers/{container.id}", "containers/executions", "audit"):
        await client.get(path)
        await client.head(path)
    await client.post("estimate", json={"cpuCores": 1, "memoryMb": 512})
    assert not fakes.audit.done


async def test_refusals_and_failures_are_written_down_too(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    await client.post("containers", json={})
    fakes.executions.error = Conflict("It has ended.")
    await client.post(f"containers/{container.id}/exec", json={"command": ["ls"]})
    fakes.executions.error = RuntimeError("boom")
    await client.post(f"containers/{container.id}/exec", json={"command": ["ls"]})
    await client.delete("containers/nonsense")
    assert [(entry.status, entry.container_id) for entry in fakes.audit.done] == [
        (422, None),
        (409, container.id),
        (500, container.id),
        (404, None),
    ]


async def test_wrong_keys_are_counted(client: httpx.AsyncClient, fakes: Fakes) -> None:
    await client.post("containers", json=CREATE, headers={"Authorization": "Bearer cgk_wrong"})
    assert not fakes.audit.done
    assert fakes.audit.refusals == ["127.0.0.1"]


async def test_an_account_reads_its_own(client: httpx.AsyncClient, fakes: Fakes) -> None:
    for _ in range(3):
        await client.post("containers", json=CREATE)
    page = (await client.get("audit", params={"limit": 2})).json()
    assert (page["total"], page["limit"], page["offset"], len(page["entries"])) == (3, 2, 0, 2)
    assert page["entries"][0]["action"] == "container.create"
    assert page["entries"][0]["time"] == "2026-01-31T12:00:00.123Z"
    other = await client.get("audit", headers={"Authorization": "Bearer cgk_two"})
    assert other.json()["entries"] == []


async def test_filters(client: httpx.AsyncClient, fakes: Fakes) -> None:
    query = {"action": "container.exec", "containerId": "cnt_1", "since": "2026-01-01", "until": NOW.isoformat()}
    assert (await client.get("audit", params=query)).status_code == 200
    ((wanted, page),) = fakes.audit.asked
    assert (wanted.account_id, wanted.action, wanted.container_id) == ("acc_1", "container.exec", "cnt_1")
    assert (wanted.since, wanted.until) == (datetime(2026, 1, 1, tzinfo=UTC), NOW)
    assert (page.limit, page.offset) == (50, 0)


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"limit": "0"}, {"acton": "x"}, {"action": "x" * 65}])
async def test_wrong_filters_are_named(client: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await client.get("audit", params=query)
    assert answer.status_code == 422
    assert next(iter(query)) in answer.json()["error"]
