"""The store: what is written is what is read, what has ended does not change, accounts are apart."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, func, select

from cognitora_server.domain.containers import (
    Container,
    ContainerFilter,
    ContainerStatus,
    ContainerType,
    End,
    Isolation,
    PortMapping,
    Reason,
    Usage,
)
from cognitora_server.domain.errors import Conflict, NotFound
from cognitora_server.domain.executions import Execution, ExecutionFilter, ExecutionStatus, Output
from cognitora_server.domain.ids import new_id
from cognitora_server.domain.pages import Page
from cognitora_server.domain.resources import Resources
from cognitora_server.store import Store
from cognitora_server.store.database import sqlite_url
from cognitora_server.store.migrate import config
from cognitora_server.store.outputs import LISTED_OUTPUT
from cognitora_server.store.tables import idempotency

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(sqlite_url(tmp_path)) as opened:
        yield opened


async def an_account(store: Store, name: str = "default") -> str:
    key, _ = await store.keys.create(f"key of {name}", name, NOW)
    return key.account_id


def a_container(account_id: str, **changes: object) -> Container:
    made = Container(
        id=new_id("cnt"),
        account_id=account_id,
        image="docker.io/library/python:3.11-slim",
        command=("python", "-c", "print('ü')"),
        persistent=False,
        container_type=ContainerType.COMPUTE,
        resources=Resources(0.5, 512, 5, 0),
        environment={"A": "1"},
        networking=False,
        port_mapping=PortMapping(80),
        max_cost_credits=10,
        timeout_seconds=300,
        expires_at=NOW + timedelta(seconds=300),
        expires_fixed=False,
        isolation_requested="auto",
        name=None,
        metadata={"team": "a"},
        created_at=NOW,
        updated_at=NOW,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def an_execution(container: Container, **changes: object) -> Execution:
    made = Execution(
        id=new_id("exec"),
        container_id=container.id,
        account_id=container.account_id,
        image=container.image,
        command=("echo", "hi"),
        main=False,
        networking=False,
        status=ExecutionStatus.RUNNING,
        created_at=NOW,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


async def test_a_container_comes_back_as_it_was(store: Store) -> None:
    container = a_container(await an_account(store), command=None, port_mapping=None)
    await store.containers.add(container)
    assert await store.containers.get(container.id) == container
    end = End(ContainerStatus.FAILED, Reason.OOM, "out of memory", 137)
    changed = await store.containers.change(
        container.id,
        status=ContainerStatus.FAILED,
        end=end,
        isolation=Isolation.GVISOR,
        handle={"pid": 1},
        usage=Usage(1.5, 3, 4),
        completed_at=NOW,
    )
    assert changed == await store.containers.get(container.id)
    assert changed is not None
    assert (changed.end, changed.usage, changed.handle) == (end, Usage(1.5, 3, 4), {"pid": 1})


async def test_what_has_ended_does_not_change(store: Store) -> None:
    container = a_container(await an_account(store), status=ContainerStatus.COMPLETED)
    await store.containers.add(container)
    assert await store.containers.change(container.id, status=ContainerStatus.RUNNING) is None
    execution = an_execution(container, status=ExecutionStatus.COMPLETED)
    await store.executions.add(execution)
    assert await store.executions.change(execution.id, status=ExecutionStatus.RUNNING) is None
    assert await store.containers.unfinished() == ()


async def test_lists_filter_page_and_keep_accounts_apart(store: Store) -> None:
    mine, other = await an_account(store, "mine"), await an_account(store, "other")
    containers = [a_container(mine, created_at=NOW + timedelta(seconds=n), name=f"n{n}") for n in range(5)]
    odd = a_container(mine, metadata={"we.ird/key-1": "x"}, status=ContainerStatus.RUNNING)
    for container in [*containers, odd, a_container(other)]:
        await store.containers.add(container)

    async def found(wanted: ContainerFilter, page: Page = Page()) -> list[str]:  # noqa: B008
        listing = await store.containers.list(mine, wanted, page)
        return [container.id for container in listing.items]

    assert await found(ContainerFilter(), Page(limit=2, offset=1)) == [containers[3].id, containers[2].id]
    assert (await store.containers.list(mine, ContainerFilter(), Page(1))).total == 6
    assert await found(ContainerFilter(status=ContainerStatus.RUNNING)) == [odd.id]
    assert await found(ContainerFilter(metadata={"we.ird/key-1": "x"})) == [odd.id]
    assert await found(ContainerFilter(metadata={"team": "b"})) == []
    assert await found(ContainerFilter(name="n3")) == [containers[3].id]
    assert await found(ContainerFilter(container_type=ContainerType.SESSION)) == []
    assert await store.containers.get(odd.id, other) is None


async def test_a_list_shows_the_beginning_of_an_output(store: Store) -> None:
    container = a_container(await an_account(store))
    await store.containers.add(container)
    long = "x" * (LISTED_OUTPUT + 5)
    execution = an_execution(container, main=True)
    await store.executions.add(execution)
    await store.executions.change(execution.id, output=Output(long, long, "", 7), status=ExecutionStatus.COMPLETED)
    whole = await store.executions.get(execution.id, container.account_id)
    assert whole is not None
    assert whole.output == Output(long, long, "", 7)
    listing = await store.executions.list(container.account_id, ExecutionFilter(container.id), Page())
    assert listing.items[0].output.stdout == long[: LISTED_OUTPUT + 1]
    assert await store.executions.main_of(container.id) == whole
    assert await store.executions.unfinished() == ()


async def test_keys_are_kept_as_hashes_and_can_be_revoked(store: Store, tmp_path: Path) -> None:
    key, secret = await store.keys.create("laptop", "default", NOW)
    found = await store.keys.authenticate(secret)
    assert found is not None
    assert (found.account.id, found.key_id, found.key_name) == (key.account_id, key.id, "laptop")
    assert secret.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    with pytest.raises(Conflict):
        await store.keys.create("laptop", "default", NOW)
    await store.keys.revoke("laptop", NOW)
    assert await store.keys.authenticate(secret) is None
    with pytest.raises(NotFound):
        await store.keys.revoke("laptop", NOW)
    assert (await store.keys.revoke(key.id, NOW)).revoked_at == NOW
    assert [(found.name, found.revoked_at) for found in await store.keys.list()] == [("laptop", NOW)]


async def test_many_at_once_are_grouped_and_one_failure_undoes_only_itself(store: Store) -> None:
    account = await an_account(store)
    containers = [a_container(account) for _ in range(200)]
    twice = store.containers.add(containers[0])
    results = await asyncio.gather(twice, *map(store.containers.add, containers), return_exceptions=True)
    assert sum(isinstance(result, Exception) for result in results) == 1
    assert len(await store.containers.unfinished()) == 200


async def test_an_idempotency_key_has_one_answer(store: Store) -> None:
    assert await store.idempotency.claim("acc", "k", "f", NOW) is None
    await store.idempotency.finish("acc", "k", 201, b"{}", NOW)
    done = await store.idempotency.claim("acc", "k", "g", NOW)
    assert done is not None
    assert (done.fingerprint, done.status, done.body) == ("f", 201, b"{}")
    assert await store.idempotency.claim("acc", "k", "g", NOW + timedelta(hours=25)) is None


async def test_large_outputs_are_not_kept_a_second_time_with_the_key(store: Store) -> None:
    account = await an_account(store)
    container, large = a_container(account), b"x" * 20_000
    await store.idempotency.claim(account, "create", "f", NOW)
    await store.containers.add(container, "create")
    await store.idempotency.claim(account, "exec", "f", NOW)
    execution = an_execution(container)
    await store.executions.add(execution, "exec")
    for key, body in (("create", large), ("exec", None)):
        await store.idempotency.finish(account, key, 200, large, NOW)
        seen = await store.idempotency.claim(account, key, "f", NOW)
        assert seen is not None
        assert (seen.status, seen.body) == (200, body)
        assert seen.resource_id == {"create": container.id, "exec": execution.id}[key]


async def test_a_key_is_remembered_while_its_command_runs_for_days_and_a_day_after(store: Store) -> None:
    account = await an_account(store)
    await store.containers.add(container := a_container(account))
    await store.idempotency.claim(account, "k", "f", NOW)
    await store.executions.add(an_execution(container), "k")
    later = NOW + timedelta(days=29)
    assert await store.idempotency.claim(account, "k", "f", later) is not None
    await store.idempotency.finish(account, "k", 200, b"{}", later)
    assert await store.idempotency.claim(account, "k", "f", later + timedelta(hours=23)) is not None
    assert await store.idempotency.claim(account, "k", "f", later + timedelta(hours=25)) is None


async def test_many_old_keys_are_forgotten_a_few_at_a_time(store: Store) -> None:
    for number in range(300):
        await store.idempotency.claim("acc", str(number), "f", NOW)
    later = NOW + timedelta(days=2)
    for left in (101, 1):
        await store.idempotency.claim("acc", "new", "f", later)
        assert (
            await store.database.read(lambda c: c.execute(select(func.count(idempotency.c.key))).scalar_one()) == left
        )


async def test_a_key_whose_request_made_nothing_can_be_claimed_again(store: Store) -> None:
    assert await store.idempotency.claim("acc", "k", "f", NOW) is None
    assert await store.idempotency.claim("acc", "k", "another", NOW) is None


async def test_a_key_remembers_what_its_request_made(store: Store) -> None:
    account = await an_account(store)
    for key in ("one", "two"):
        await store.idempotency.claim(account, key, key, NOW)
    container = a_container(account)
    await store.containers.add(container, "one")
    execution = an_execution(container)
    await store.executions.add(execution, "two")
    await store.idempotency.abandon(account, "one")
    for key, made in (("one", container.id), ("two", execution.id)):
        seen = await store.idempotency.claim(account, key, key, NOW)
        assert seen is not None
        assert (seen.status, seen.resource_id) == (None, made)
    await store.idempotency.unmake(execution.id)
    assert await store.idempotency.claim(account, "two", "other", NOW) is None


async def test_the_order_of_acceptance_is_kept_whatever_the_clock_says(store: Store) -> None:
    account = await an_account(store)
    added = [await store.containers.add(a_container(account, created_at=NOW - timedelta(days=n % 3))) for n in range(9)]
    assert [container.sequence for container in added] == list(range(1, 10))
    assert list(await store.containers.unfinished()) == added
    at_once = await asyncio.gather(*(store.containers.add(a_container(account)) for _ in range(50)))
    assert [container.sequence for container in at_once] == list(range(10, 60))


async def test_containers_of_an_earlier_version_are_numbered_as_they_were_made(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    command.upgrade(config(url), "0001")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO accounts VALUES ('acc', 'default', 0)")
        for identity, created_at in (("late", 30), ("early", 10), ("middle", 20)):
            row = {**_OLD_ROW, "id": identity, "created_at": created_at}
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" for _ in row)
            connection.exec_driver_sql(f"INSERT INTO containers ({names}) VALUES ({marks})", tuple(row.values()))
    engine.dispose()
    with Store(url) as opened:
        found = await opened.containers.unfinished()
        assert [(container.id, container.sequence) for container in found] == [("early", 1), ("middle", 2), ("late", 3)]
        assert (await opened.containers.add(a_container("acc"))).sequence == 4


_OLD_ROW: dict[str, object] = {
    **dict.fromkeys(("image", "container_type", "isolation_requested"), "COMPUTE"),
    **dict.fromkeys(("resources", "usage", "environment", "metadata"), "{}"),
    **dict.fromkeys(("persistent", "networking", "max_cost_credits", "timeout_seconds"), 0),
    **dict.fromkeys(("expires_at", "expires_fixed", "updated_at"), 0),
    "resources": '{"cpu_cores": 1, "memory_mb": 64, "storage_gb": 1, "gpu_count": 0}',
    "status": "RUNNING",
    "account_id": "acc",
}


async def test_outputs_of_an_earlier_version_stay_as_they_were_and_can_go_back(tmp_path: Path) -> None:
    url, long = sqlite_url(tmp_path), "ü" * (LISTED_OUTPUT + 5)
    command.upgrade(config(url), "0001")
    engine = create_engine(url)
    old = {**_OLD_ROW, "id": "cnt", "created_at": 1, "status": "COMPLETED"}
    execution: dict[str, object] = {
        **dict.fromkeys(("id", "image"), '"exec"'),
        **dict.fromkeys(("main", "networking", "created_at", "files_uploaded", "omitted_bytes"), 1),
        **{"container_id": "cnt", "account_id": "acc", "status": "completed", "command": '["a"]'},
        **{"combined": long, "stdout": long, "stderr": ""},
    }
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO accounts VALUES ('acc', 'default', 0)")
        for table, row in (("containers", old), ("executions", execution)):
            names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" for _ in row)
            connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
    engine.dispose()
    with Store(url) as opened:
        found = await opened.executions.get('"exec"', "acc")
        assert found is not None
        assert found.output == Output(long, long, "", 1)
    assert (tmp_path / "cognitora.db").stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(tmp_path / "cognitora.db")) as database:
        assert database.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    command.downgrade(config(url), "0001")
    with contextlib.closing(sqlite3.connect(tmp_path / "cognitora.db")) as database:
        assert database.execute("SELECT combined, stdout, stderr FROM executions").fetchone() == (long, long, "")


async def test_another_process_can_write_while_the_server_has_it_open(store: Store, tmp_path: Path) -> None:
    with Store(sqlite_url(tmp_path), checkpoints=False) as second:
        _, secret = await second.keys.create("cli", "default", NOW)
    assert await store.keys.authenticate(secret) is not None
    await store.containers.add(a_container(await an_account(store)))
