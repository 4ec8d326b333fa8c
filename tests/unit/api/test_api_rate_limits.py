"""Rate limits: per key, and per address for wrong keys."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from cognitora_server.api import create_app
from cognitora_server.api.errors import RateLimited
from cognitora_server.api.rate_limits import RateLimits
from cognitora_server.settings import Settings

from .fakes import Fakes


def client_of(fakes: Fakes, key: str = "cgk_one", address: str = "192.0.2.1", **settings: int) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(fakes.services(**settings)), client=(address, 1))
    return httpx.AsyncClient(
        transport=transport,
        base_url="http://test/api/v1/compute/",
        headers={"Authorization": f"Bearer {key}"},
    )


async def until_refused(client: httpx.AsyncClient, status: int, path: str = "containers") -> httpx.Response:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = await client.get(path)
        if answer.status_code == 429:
            return answer
        assert answer.status_code == status
    raise AssertionError("never refused")


async def test_a_key_that_sends_too_much_is_told_when_to_come_back(fakes: Fakes) -> None:
    async with client_of(fakes, rate_limit_per_minute=0, rate_limit_burst=5) as client:
        refused = await until_refused(client, 200)
        body = refused.json()
        assert body["code"] == "rate_limited"
        assert "5 requests in a second (rate_limit_burst)" in body["error"]
        assert body["details"] == {"retry_after_seconds": 1, "limit": 5, "window_seconds": 1}
        assert refused.headers["Retry-After"] == "1"
        assert refused.headers["X-Request-Id"] == body["request_id"]
        for public in ("/health", "/ready", "/docs", "/openapi.json"):
            assert (await client.get(f"http://test{public}")).status_code == 200
        other = {"Authorization": "Bearer cgk_two"}
        assert (await client.get("containers", headers=other)).status_code == 200
        while (await client.get("containers")).status_code == 429:
            await asyncio.sleep(int(refused.headers["Retry-After"]))


async def test_a_minutes_limit_is_told_in_headers(fakes: Fakes) -> None:
    async with client_of(fakes, rate_limit_per_minute=4, rate_limit_burst=0) as client:
        answer = await client.get("containers")
        assert answer.headers["RateLimit-Policy"] == '"key";q=4;w=60'
        assert answer.headers["RateLimit"].startswith('"key";r=3;t=')
        refused = await until_refused(client, 200)
        assert 1 <= int(refused.headers["Retry-After"]) <= 60


async def test_no_limit_no_headers(fakes: Fakes) -> None:
    async with client_of(fakes, rate_limit_per_minute=0, rate_limit_burst=0) as client:
        answers = [await client.get("containers") for _ in range(50)]
    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit" not in answers[0].headers


async def test_wrong_keys_are_limited_by_address_and_never_in_the_way_of_a_valid_one(fakes: Fakes) -> None:
    async with client_of(fakes, "cgk_wrong", wrong_keys_per_minute=3) as client:
        refused = await until_refused(client, 401)
        assert refused.json()["code"] == "rate_limited"
        assert int(refused.headers["Retry-After"]) >= 1
        valid = {"Authorization": "Bearer cgk_one"}
        assert (await client.get("containers", headers=valid)).status_code == 200


async def test_counters_of_addresses_are_bounded() -> None:
    limits = RateLimits(Settings.model_construct(wrong_keys_per_minute=100_000))
    for number in range(5000):
        await limits.refuse(f"2001:db8:{number:x}::1")
    storage = limits._failures.storage
    assert len(storage.storage) <= 2 * 1024  # type: ignore[attr-defined]


async def test_a_whole_ipv6_network_is_one_guesser() -> None:
    limits = RateLimits(Settings.model_construct(wrong_keys_per_minute=5))
    with pytest.raises(RateLimited):
        for number in range(20):
            await limits.refuse(f"2001:db8::{number:x}")
