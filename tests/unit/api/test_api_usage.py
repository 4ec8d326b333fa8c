"""GET /usage, and what an account is told that may not spend or hold more."""

from __future__ import annotations

from datetime import date

import httpx
import pytest

from cognitora_server.domain.accounts import AccountLimits
from cognitora_server.domain.errors import AccountLimitReached, BudgetExhausted
from cognitora_server.domain.pages import Page
from cognitora_server.domain.usage import UsageFilter, UsageGroup

from .fakes import Fakes

CREATE = {"image": "python:3.11", "cpuCores": 1, "memoryMb": 512, "maxCostCredits": 10}
JANUARY = (date(2026, 1, 1), date(2026, 1, 31))


async def test_this_month_by_day(client: httpx.AsyncClient, fakes: Fakes) -> None:
    answer = await client.get("usage")
    assert answer.status_code == 200
    assert fakes.usage.asked == [("acc_1", UsageFilter(*JANUARY), Page())]
    assert answer.json() == {
        "from": "2026-01-01",
        "to": "2026-01-31",
        "groupBy": "day",
        "items": [
            {"day": "2026-01-31", "containerId": None, "image": None, "containers": 2, "seconds": 7200, "credits": 12.4}
        ],
        "seconds": 7200,
        "credits": 12.4,
        "total": 1,
        "limit": 50,
        "offset": 0,
        "account": {
            "name": "one",
            "month": "2026-01",
            "budgetCredits": 100,
            "spentCredits": 12.4,
            "remainingCredits": 87.6,
            "renewsOn": "2026-02-01",
            "maxContainers": 10,
            "maxCpuCores": None,
            "maxMemoryMb": 32768,
            "heldContainers": 1,
            "heldCpuCores": 2.5,
            "heldMemoryMb": 4096,
        },
    }


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"from": "2025-12-30"}, UsageFilter(date(2025, 12, 30), JANUARY[1])),
        ({"to": "2025-12-30"}, UsageFilter(date(2025, 12, 30), date(2025, 12, 30))),
        ({"from": "2027-01-01"}, UsageFilter(date(2027, 1, 1), date(2027, 1, 1))),
        ({"groupBy": "container"}, UsageFilter(*JANUARY, UsageGroup.CONTAINER)),
        ({"group_by": "IMAGE"}, UsageFilter(*JANUARY, UsageGroup.IMAGE)),
    ],
)
async def test_what_is_asked_for(
    client: httpx.AsyncClient, fakes: Fakes, query: dict[str, str], wanted: UsageFilter
) -> None:
    answer = await client.get("usage", params={**query, "limit": "7", "offset": "3"})
    assert answer.status_code == 200, answer.text
    assert fakes.usage.asked == [("acc_1", wanted, Page(7, 3))]
    item = answer.json()["items"][0]
    named = {UsageGroup.DAY: "day", UsageGroup.CONTAINER: "containerId", UsageGroup.IMAGE: "image"}[wanted.group]
    assert item[named] is not None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-02-30"}, "from"),
        ({"to": "2026-01-31T00:00:00Z"}, "to"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "to"),
        ({"groupBy": "week"}, "groupBy"),
        ({"groupBy": "day", "group_by": "image"}, "groupBy"),
        ({"since": "2026-01-01"}, "since"),
        ({"first": "2026-01-01"}, "first"),
    ],
)
async def test_what_is_wrong_is_named(client: httpx.AsyncClient, query: dict[str, str], field: str) -> None:
    answer = await client.get("usage", params=query)
    assert answer.status_code == 422
    assert field in {problem["field"] for problem in answer.json()["details"]["fields"]}


async def test_an_account_without_a_budget(client: httpx.AsyncClient, fakes: Fakes) -> None:
    fakes.usage.limits = AccountLimits()
    account = (await client.get("usage")).json()["account"]
    assert [account[name] for name in ("budgetCredits", "remainingCredits", "maxContainers")] == [None, None, None]


async def test_a_budget_that_is_used_up_is_402(client: httpx.AsyncClient, fakes: Fakes) -> None:
    fakes.containers.error = BudgetExhausted("Used up.", budget_credits=5)
    answer = await client.post("containers", json=CREATE)
    assert (answer.status_code, answer.json()["code"]) == (402, "budget_exhausted")
    assert answer.json()["details"] == {"budget_credits": 5}


async def test_a_limit_that_is_reached_is_429_and_may_be_tried_again_with_the_same_key(
    client: httpx.AsyncClient, fakes: Fakes
) -> None:
    fakes.containers.error = AccountLimitReached("Holds 5.", retry_after_seconds=10)
    headers = {"Idempotency-Key": "k"}
    answer = await client.post("containers", json=CREATE, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (429, "account_limit")
    assert answer.headers["Retry-After"] == "10"
    fakes.containers.error = None
    assert (await client.post("containers", json=CREATE, headers=headers)).status_code == 201
