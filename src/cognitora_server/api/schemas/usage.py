"""Usage on the wire."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field

from ...domain.budgets import Month, Standing
from ...domain.credits import MICRO
from ...domain.pages import Page
from ...domain.usage import UsageFilter, UsageGroup, UsageReport, UsageSum
from .base import CamelAnswer, Credits, wrong
from .listing import PageQuery, choice


def _day(value: Any) -> Any:
    try:
        if isinstance(value, str) and len(value) == len("2026-01-31"):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise wrong("must be a day, such as 2026-01-31")


Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=date)]


class UsageQuery(PageQuery):
    """Which usage, and what it is summed up by."""

    from_: Annotated[
        Day | None, Field(alias="from", description="The first day (UTC); the month's first if left out.")
    ] = None
    to: Annotated[Day | None, Field(description="The last day (UTC), included; today if left out.")] = None
    group_by: Annotated[
        UsageGroup,
        BeforeValidator(partial(choice, UsageGroup)),
        Field(description="Sums for each day, container or image, in any case."),
    ] = UsageGroup.DAY

    def to_domain(self, now: datetime) -> UsageFilter:
        """Return the filter; `now` says which month it is."""
        last = self.to or max(now.date(), self.from_ or now.date())
        first = self.from_ or min(Month.of(now).first, last)
        if first > last:
            raise wrong(f"is before from ({first}): give a later day", "to")
        return UsageFilter(first, last, self.group_by)


class UsageItem(CamelAnswer):
    """What was used on one day, by one container or with one image."""

    day: Annotated[date | None, Field(description="The day (UTC), if summed up by day.")]
    container_id: Annotated[str | None, Field(description="The container, if summed up by container.")]
    image: Annotated[str | None, Field(description="The image, if not summed up by day.")]
    containers: Annotated[int, Field(description="How many containers used it.")]
    seconds: Annotated[int, Field(description="Seconds that were paid for.")]
    credits: Credits

    @classmethod
    def of(cls, found: UsageSum, group: UsageGroup) -> Self:
        """Spell a sum."""
        return cls(
            day=date.fromisoformat(found.key) if group is UsageGroup.DAY else None,
            container_id=found.key if group is UsageGroup.CONTAINER else None,
            image=found.image,
            containers=found.containers,
            seconds=found.seconds,
            credits=found.micro / MICRO,
        )


class AccountOut(CamelAnswer):
    """How the account stands in this month: its budget, its limits, and what it holds. A limit of null is none."""

    name: str
    month: Annotated[str, Field(description="The calendar month (UTC) that the budget is for.", examples=["2026-01"])]
    budget_credits: Credits | None
    spent_credits: Credits
    remaining_credits: Credits | None
    renews_on: Annotated[date, Field(description="The day (UTC) on which the budget begins anew.")]
    max_containers: int | None
    max_cpu_cores: Credits | None
    max_memory_mb: int | None
    held_containers: Annotated[int, Field(description="Containers that have not ended, waiting ones too.")]
    held_cpu_cores: Credits
    held_memory_mb: int

    @classmethod
    def of(cls, standing: Standing) -> Self:
        """Spell the standing."""
        limits, remaining = standing.limits, standing.remaining
        return cls(
            name=standing.account.name,
            month=f"{standing.month.first:%Y-%m}",
            budget_credits=limits.budget_credits,
            spent_credits=standing.spent / MICRO,
            remaining_credits=None if remaining is None else remaining / MICRO,
            renews_on=standing.month.next,
            max_containers=limits.max_containers,
            max_cpu_cores=limits.max_cpu_cores,
            max_memory_mb=limits.max_memory_mb,
            held_containers=standing.containers,
            held_cpu_cores=round(standing.cpu_cores, 6),
            held_memory_mb=standing.memory_mb,
        )


class UsageAnswer(CamelAnswer):
    """One page of usage, the whole of it, and how the account stands."""

    first: Annotated[date, Field(alias="from")]
    last: Annotated[date, Field(alias="to")]
    group_by: UsageGroup
    items: Annotated[
        list[UsageItem], Field(description="Days in order; containers and images by their cost, the highest first.")
    ]
    seconds: Annotated[int, Field(description="Of all items on all pages.")]
    credits: Annotated[Credits, Field(description="Of all items on all pages.")]
    total: Annotated[int, Field(description="How many items there are on all pages.")]
    limit: int
    offset: int
    account: AccountOut

    @classmethod
    def of(cls, report: UsageReport, wanted: UsageFilter, page: Page) -> Self:
        """Spell the report."""
        return cls(
            first=wanted.first,
            last=wanted.last,
            group_by=wanted.group,
            items=[UsageItem.of(found, wanted.group) for found in report.sums.items],
            seconds=report.whole.seconds,
            credits=report.whole.micro / MICRO,
            total=report.sums.total,
            limit=page.limit,
            offset=page.offset,
            account=AccountOut.of(report.standing),
        )
