"""Meters and the ledger: what a container is charged is written together with its meter, or not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, insert, select, update

from cognitora_server.domain.clock import Steady
from cognitora_server.domain.containers import Container
from cognitora_server.domain.metering import Charge, charges, shown_end
from cognitora_server.domain.meters import Meter
from cognitora_server.domain.pages import Listing, Page
from cognitora_server.domain.usage import UsageFilter, UsageGroup, UsageSum

from .database import Database
from .rows import UNENDED, container_of, container_values
from .tables import containers, usage


class UsageStore:
    """Remembers how long containers were held, and what that cost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tick(self, ids: Collection[str], steady: Steady, now: datetime) -> tuple[Container, ...]:
        """Read the meters of these containers, charge what they add, and return those that went on."""

        def work(connection: Any) -> tuple[Container, ...]:
            read = [(found, found.meter.read(steady)) for found in _open(connection, ids)]
            moved = [(found, meter) for found, meter in read if meter != found.meter]
            _charge(connection, moved, now)
            return tuple(_write_meters(connection, moved, now))

        return await self._database.write(work)

    async def stop(self, container_id: str, steady: Steady | None, now: datetime, **changes: Any) -> Container | None:
        """Stop a container's meter for ever, at `steady` (None: where it was last read), and change its record.

        Returns the container, or None if it has ended or never was. Repeating it charges nothing more.
        """

        def work(connection: Any) -> Container | None:
            for found in _open(connection, [container_id]):
                meter = found.meter.read(steady) if steady is not None else found.meter
                _charge(connection, [(found, meter)], now)
                values = container_values({"meter": meter.stopped(), **changes})
                mine = update(containers).where(containers.c.id == container_id)
                return container_of(connection.execute(mine.values(values).returning(*containers.c)).one())
            return None

        return await self._database.write(work)

    async def sums(self, account_id: str, wanted: UsageFilter, page: Page) -> tuple[Listing[UsageSum], UsageSum]:
        """Return a page of an account's usage by day, container or image, and the whole of it.

        Days come in order, containers and images by what they cost, most first.
        """
        return await self._database.read(lambda c: _sums(c, account_id, wanted, page))


def _open(connection: Any, ids: Collection[str]) -> list[Container]:
    statement = select(containers).where(containers.c.id.in_(ids), containers.c.status.in_(UNENDED))
    return [container_of(row) for row in connection.execute(statement)]


def _write_meters(connection: Any, moved: list[tuple[Container, Meter]], now: datetime) -> Iterable[Container]:
    changed = [
        replace(container, meter=meter, expires_at=shown_end(container, meter, now)) for container, meter in moved
    ]
    if changed:
        statement = update(containers).where(containers.c.id == bindparam("which"))
        values = [{"which": one.id, "meter": asdict(one.meter), "expires_at": one.expires_at} for one in changed]
        connection.execute(statement.values(meter=bindparam("meter"), expires_at=bindparam("expires_at")), values)
    return changed


def _charge(connection: Any, moved: list[tuple[Container, Meter]], now: datetime) -> None:
    added = {
        (container.id, charge.day): (container, charge)
        for container, meter in moved
        for charge in charges(container, meter, now)
        if charge.seconds or charge.micro
    }
    known = select(usage.c.container_id, usage.c.day).where(usage.c.container_id.in_({name for name, _ in added}))
    there = {(row.container_id, row.day) for row in connection.execute(known)}
    _add(connection, [_row(*what) for key, what in added.items() if key not in there])
    _add_to(connection, [_row(*what) for key, what in added.items() if key in there])


def _row(container: Container, charge: Charge) -> dict[str, Any]:
    return {"container_id": container.id, "account_id": container.account_id, "image": container.image} | asdict(charge)


def _add(connection: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(usage), rows)


def _add_to(connection: Any, rows: list[Mapping[str, Any]]) -> None:
    if not rows:
        return
    mine = and_(usage.c.container_id == bindparam("which"), usage.c.day == bindparam("on_day"))
    sums = {name: usage.c[name] + bindparam(f"more_{name}") for name in ("seconds", "micro")}
    values = [
        {"which": row["container_id"], "on_day": row["day"], "more_seconds": row["seconds"], "more_micro": row["micro"]}
        for row in rows
    ]
    connection.execute(update(usage).where(mine).values(sums), values)


_KEYS = {UsageGroup.DAY: usage.c.day, UsageGroup.CONTAINER: usage.c.container_id, UsageGroup.IMAGE: usage.c.image}


def _sums(connection: Any, account_id: str, wanted: UsageFilter, page: Page) -> tuple[Listing[UsageSum], UsageSum]:
    where, key = _within(account_id, wanted.first, wanted.last), _KEYS[wanted.group]
    seconds, micro = func.coalesce(func.sum(usage.c.seconds), 0), func.coalesce(func.sum(usage.c.micro), 0)
    counted = func.count(usage.c.container_id.distinct())
    grouped = select(key, func.min(usage.c.image), counted, seconds, micro).where(where).group_by(key)
    order = (key,) if wanted.group is UsageGroup.DAY else (micro.desc(), key)
    rows = connection.execute(grouped.order_by(*order).limit(page.limit).offset(page.offset)).all()
    groups, *whole = connection.execute(select(func.count(key.distinct()), counted, seconds, micro).where(where)).one()
    shown = wanted.group is not UsageGroup.DAY
    items = tuple(UsageSum(str(name), image if shown else None, *sums) for name, image, *sums in rows)
    return Listing(items, groups), UsageSum("", None, *whole)


def _within(account_id: str, first: date, last: date) -> ColumnElement[bool]:
    return and_(usage.c.account_id == account_id, usage.c.day.between(first, last))
