"""What an earlier version has written is metered by what it wrote down."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine, text

from cognitora_server.domain.clock import MICROSECONDS
from cognitora_server.domain.pages import Page
from cognitora_server.domain.usage import UsageFilter
from cognitora_server.store import Store
from cognitora_server.store.database import sqlite_url
from cognitora_server.store.migrate import config

_NOON = round(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * MICROSECONDS
_CONTAINER = """
insert into containers (id, account_id, image, persistent, container_type, resources, environment, networking,
    max_cost_credits, timeout_seconds, expires_at, expires_fixed, isolation_requested, metadata, created_at, updated_at,
    status, started_at, completed_at, usage)
values (:id, 'acc_1', 'python', 1, 'COMPUTE',
    '{"cpu_cores": 1, "memory_mb": 512, "storage_gb": 5, "gpu_count": 0}', '{}', 0,
    :most, 3600, :expires_at, 0, 'auto', '{}', 1, 1,
    :status, :started_at, :completed_at, '{"cpu_seconds": 0, "memory_peak_bytes": 0, "disk_bytes": 0}')
"""


async def test_containers_of_the_first_version_are_metered(tmp_path: Path) -> None:
    url, now = sqlite_url(tmp_path), time.time_ns() // 1000
    command.upgrade(config(url), "0001")
    rows = [
        # 2.30 credits an hour: one that has ended after 30.5 min, one that its limit ended, one that never started.
        ("ended", "COMPLETED", _NOON, _NOON + 1830 * MICROSECONDS - 500_000, 10),
        ("limited", "TERMINATED", _NOON, _NOON + 3600 * MICROSECONDS, 1),
        ("waiting", "QUEUED", None, None, 10),
        ("running", "RUNNING", now - 100 * MICROSECONDS, None, 10),
    ]
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("insert into accounts (id, name, created_at) values ('acc_1', 'default', 1)"))
        for name, status, started_at, completed_at, most in rows:
            times = {"started_at": started_at, "completed_at": completed_at, "expires_at": now + 3500 * MICROSECONDS}
            connection.execute(text(_CONTAINER), {"id": name, "status": status, "most": most, **times})
    engine.dispose()
    with Store(url) as store:
        found = {name: await store.containers.get(name) for name, *_ in rows}
        listing, _ = await store.usage.sums("acc_1", UsageFilter(date(2026, 3, 1), date(2026, 3, 1)), Page())
    ended, limited, waiting, running = (found[name] for name in ("ended", "limited", "waiting", "running"))
    assert ended is not None and limited is not None and waiting is not None and running is not None
    # 1830 s x 2.30 / 3600 = 1.169166…
    assert (ended.meter.seconds, ended.cost) == (1830, 1.169167)
    assert (limited.meter.seconds, limited.cost) == (3600, 1.0)
    assert (waiting.meter.held, waiting.meter.boot, waiting.expires_held) == (0, None, None)
    assert running.meter.boot is not None
    assert 100 <= running.meter.seconds < 400
    assert running.expires_held is not None
    assert abs(running.expires_held - 3600 * MICROSECONDS) < MICROSECONDS
    [day] = listing.items
    assert (day.seconds, day.micro) == (5430, ended.bill(ended.meter) + limited.bill(limited.meter))
