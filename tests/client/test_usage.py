"""What the account used."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.client.conftest import SMALL

import cognitora


def test_usage_by_container_image_and_day(client: Any) -> None:
    before = datetime.now(UTC).date()
    ended = client.containers.run_and_wait(**SMALL, command=["true"]).execution
    (mine,) = [used for used in by_container(client, before) if used.container_id == ended.id]
    assert (mine.seconds, mine["credits"]) == (ended.metered_seconds, ended.actual_cost_credits)
    assert (mine.image, mine.day, mine.containers) == (ended.image, None, 1)
    by_image = client.get_usage(group_by="image")
    assert ended.image in [used.image for used in by_image.items]
    by_day = client.get_usage(before)
    assert by_day[0].day in (before, before + timedelta(days=1))
    assert by_day.seconds == by_day["seconds"] >= mine.seconds
    assert by_day.credits >= mine.credits
    assert by_day.account.spent_credits == by_day["account"]["spentCredits"]
    assert by_day.account.renews_on > before


def by_container(client: Any, first: date) -> list[cognitora.UsageSum]:
    """Return every sum, page by page: other tests' containers are there too."""
    found: list[cognitora.UsageSum] = []
    while page := client.get_usage(first, datetime.now(UTC).date(), "container", limit=100, offset=len(found)):
        found += page
    assert len(found) == client.get_usage(first, group_by="container", limit=1)["total"]
    return found


def test_days_that_are_none(client: Any) -> None:
    with pytest.raises(cognitora.InvalidRequestError, match="must be a day"):
        client.get_usage("yesterday")
