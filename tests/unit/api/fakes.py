"""Services in memory: what the API stands on, without anything below it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cognitora_server.api import Services
from cognitora_server.control.metrics import Metrics
from cognitora_server.domain.accounts import Account, AccountLimits, Authenticated
from cognitora_server.domain.audit import AuditEntry, AuditFilter
from cognitora_server.domain.budgets import Month, Standing
from cognitora_server.domain.clock import ManualClock
from cognitora_server.domain.containers import (
    Container,
    ContainerChange,
    ContainerFilter,
    ContainerRequest,
    ContainerStatus,
    ContainerType,
    End,
    Isolation,
    Reason,
)
from cognitora_server.domain.credits import Cost, Prices, cost
from cognitora_server.domain.errors import IdempotencyConflict, NotFound, TooLarge
from cognitora_server.domain.executions import Execution, ExecutionFilter, ExecutionRequest, ExecutionStatus, Output
from cognitora_server.domain.ids import CONTAINER, EXECUTION, new_id
from cognitora_server.domain.meters import Meter
from cognitora_server.domain.pages import Listing, Page
from cognitora_server.domain.resources import Resources
from cognitora_server.domain.usage import UsageFilter, UsageGroup, UsageReport, UsageSum
from cognitora_server.settings import Settings

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
KEYS = {"cgk_one": Account("acc_1", "one", NOW), "cgk_two": Account("acc_2", "two", NOW)}


@dataclass
class FakeContainers:
    """Containers that run nothing; `error` is raised by every verb."""

    clock: ManualClock
    kept: dict[str, Container] = field(default_factory=dict)
    requests: list[ContainerRequest] = field(default_factory=list)
    updates: list[ContainerChange] = field(default_factory=list)
    asked: list[tuple[ContainerFilter, Page]] = field(default_factory=list)
    error: Exception | None = None

    async def create(self, account_id: str, request: ContainerRequest, idempotency_key: str | None = None) -> Container:
        self._fail()
        self.requests.append(request)
        container = a_container(account_id, request, self.clock.now())
        self.kept[container.id] = container
        return container

    async def get(self, account_id: str, container_id: str) -> Container:
        self._fail()
        container = self.kept.get(container_id)
        if container is None or container.account_id != account_id:
            raise NotFound(f"There is no container {container_id!r} in this account.")
        return container

    async def list(self, account_id: str, where: ContainerFilter, page: Page) -> Listing[Container]:
        self._fail()
        self.asked.append((where, page))
        mine = [container for container in self.kept.values() if container.account_id == account_id]
        return Listing(tuple(mine[page.offset : page.offset + page.limit]), len(mine))

    async def update(self, account_id: str, container_id: str, change: ContainerChange) -> Container:
        container = await self.get(account_id, container_id)
        self.updates.append(change)
        instant = change.expires_at or self.clock.now() + timedelta(seconds=change.timeout_seconds or 0)
        seconds = int((instant - self.clock.now()).total_seconds())
        idle = change.idle_timeout_seconds
        self.kept[container_id] = replace(
            container, timeout_seconds=seconds, expires_at=instant, idle_timeout_seconds=idle
        )
        return self.kept[container_id]

    async def cancel(self, account_id: str, container_id: str) -> Container:
        container = await self.get(account_id, container_id)
        if not container.status.final:
            end = End(ContainerStatus.CANCELLED, Reason.USER, "Cancelled by a request.")
            container = replace(container, status=end.status, end=end, completed_at=self.clock.now())
            self.kept[container_id] = container
        return container

    async def logs(self, account_id: str, container_id: str) -> str:
        await self.get(account_id, container_id)
        return "one\ntwo\n"

    def estimate(self, resources: Resources, seconds: float) -> Cost:
        return cost(resources, seconds, Prices())

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class FakeExecutions:
    """Commands that all print the same; `gate`, when set to an event, holds them until it is set."""

    clock: ManualClock
    containers: FakeContainers
    kept: dict[str, Execution] = field(default_factory=dict)
    requests: list[ExecutionRequest] = field(default_factory=list)
    asked: list[tuple[ExecutionFilter, Page]] = field(default_factory=list)
    error: Exception | None = None
    gate: asyncio.Event | None = None
    output: Output = field(default_factory=lambda: Output("out\nerr\n", "out\n", "err\n"))
    finished: int = 0

    async def run(
        self, account_id: str, container_id: str, request: ExecutionRequest, idempotency_key: str | None = None
    ) -> Execution:
        container = await self.containers.get(account_id, container_id)
        if self.error is not None:
            raise self.error
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        execution = an_execution(container, request, self.clock.now(), self.output)
        self.kept[execution.id] = execution
        self.finished += 1
        return execution

    async def get(self, account_id: str, execution_id: str) -> Execution:
        execution = self.kept.get(execution_id)
        if execution is None or execution.account_id != account_id:
            raise NotFound(f"There is no execution {execution_id!r} in this account.")
        return execution

    async def ended(self, account_id: str, execution_id: str) -> Execution:
        return await self.get(account_id, execution_id)

    async def list(self, account_id: str, where: ExecutionFilter, page: Page) -> Listing[Execution]:
        if where.container_id is not None:
            await self.containers.get(account_id, where.container_id)
        self.asked.append((where, page))
        mine = [execution for execution in self.kept.values() if execution.account_id == account_id]
        return Listing(tuple(mine), len(mine))


class FakeKeys:
    async def authenticate(self, secret: str) -> Authenticated | None:
        account = KEYS.get(secret)
        return Authenticated(account, f"key_{account.name}", f"key of {account.name}") if account else None


@dataclass(frozen=True)
class Kept:
    status: int
    body: bytes


@dataclass(frozen=True)
class Claim:
    answer: Kept | None = None
    made: str | None = None


@dataclass
class FakeIdempotency:
    answers: dict[tuple[str, str], tuple[str, Claim]] = field(default_factory=dict)

    async def claim(self, account_id: str, key: str, fingerprint: str) -> Claim:
        seen = self.answers.setdefault((account_id, key), (fingerprint, Claim()))
        if seen[0] != fingerprint:
            raise IdempotencyConflict
        return seen[1]

    async def finish(self, account_id: str, key: str, status: int, body: bytes) -> None:
        self.answers[account_id, key] = (self.answers[account_id, key][0], Claim(Kept(status, body)))

    async def abandon(self, account_id: str, key: str) -> None:
        del self.answers[account_id, key]


@dataclass
class FakeHealth:
    problems: list[str] = field(default_factory=list)

    async def ready(self) -> list[str]:
        return self.problems


@dataclass
class FakeAudit:
    """Keeps the entries in order; `at_work` are those that have begun only."""

    at_work: dict[str, AuditEntry] = field(default_factory=dict)
    done: list[AuditEntry] = field(default_factory=list)
    refusals: list[str | None] = field(default_factory=list)
    asked: list[tuple[AuditFilter, Page]] = field(default_factory=list)

    def begin(self, entry: AuditEntry) -> None:
        self.at_work[entry.id] = entry

    def finish(self, entry: AuditEntry) -> None:
        del self.at_work[entry.id]
        self.done.append(entry)

    def refused(self, remote_address: str | None) -> None:
        self.refusals.append(remote_address)

    async def list(self, wanted: AuditFilter, page: Page) -> Listing[AuditEntry]:
        self.asked.append((wanted, page))
        mine = [entry for entry in reversed(self.done) if entry.account_id == wanted.account_id]
        return Listing(tuple(mine[page.offset : page.offset + page.limit]), len(mine))


@dataclass
class FakeFiles:
    """Keeps what is written, of files of up to 1 MiB."""

    written: dict[str, bytes] = field(default_factory=dict)

    async def write(self, account_id: str, container_id: str, path: str, content: AsyncIterator[bytes]) -> int:
        kept = b""
        async for chunk in content:
            kept += chunk
            if len(kept) > 1 << 20:
                raise TooLarge("The file does not fit.")
        self.written[path] = kept
        return len(kept)


@dataclass
class FakeUsage:
    """Two hours of one container, whatever is asked."""

    asked: list[tuple[str, UsageFilter, Page]] = field(default_factory=list)
    limits: AccountLimits = field(default_factory=lambda: AccountLimits(100.0, 10, None, 32768))

    async def report(self, account_id: str, wanted: UsageFilter, page: Page) -> UsageReport:
        self.asked.append((account_id, wanted, page))
        key = {UsageGroup.DAY: "2026-01-31", UsageGroup.CONTAINER: "cnt_1", UsageGroup.IMAGE: "python:3.11"}
        image = None if wanted.group is UsageGroup.DAY else "python:3.11"
        one = UsageSum(key[wanted.group], image, 2, 7200, 12_400_000)
        standing = Standing(Account("acc_1", "one", NOW), self.limits, Month.of(NOW), 1, 2.5, 4096, 12_400_000)
        return UsageReport(Listing((one,), 1), UsageSum("", None, 2, 7200, 12_400_000), standing)


@dataclass
class Fakes:
    """All of them together."""

    clock: ManualClock
    containers: FakeContainers
    executions: FakeExecutions
    idempotency: FakeIdempotency
    health: FakeHealth
    metrics: Metrics = field(default_factory=Metrics)
    audit: FakeAudit = field(default_factory=FakeAudit)
    usage: FakeUsage = field(default_factory=FakeUsage)
    files: FakeFiles = field(default_factory=FakeFiles)

    def services(self, **settings: Any) -> Services:
        chosen = Settings.model_construct(**settings)
        return Services(
            self.containers,
            self.executions,
            self.files,
            FakeKeys(),
            self.idempotency,
            self.health,
            self.audit,
            self.usage,
            self.metrics,
            chosen,
            self.clock,
        )

    def add_container(self, account_id: str = "acc_1", **changes: object) -> Container:
        request = ContainerRequest("python:3.11", Resources(1, 512), 10.0)
        container = replace(a_container(account_id, request, self.clock.now()), **changes)  # type: ignore[arg-type]
        self.containers.kept[container.id] = container
        return container


def fakes() -> Fakes:
    clock = ManualClock(NOW)
    containers = FakeContainers(clock)
    return Fakes(clock, containers, FakeExecutions(clock, containers), FakeIdempotency(), FakeHealth())


def a_container(account_id: str, request: ContainerRequest, now: datetime) -> Container:
    return Container(
        id=new_id(CONTAINER),
        account_id=account_id,
        image=request.image,
        command=request.command,
        persistent=request.persistent,
        container_type=ContainerType.COMPUTE,
        resources=request.resources,
        environment=request.environment,
        secrets=request.secrets,
        networking=request.networking,
        port_mapping=request.port_mapping,
        max_cost_credits=request.max_cost_credits,
        timeout_seconds=request.timeout_seconds or 300,
        expires_at=request.expires_at or now + timedelta(seconds=request.timeout_seconds or 300),
        expires_fixed=False,
        isolation_requested=request.isolation,
        name=request.name,
        metadata=request.metadata,
        created_at=now,
        updated_at=now,
        status=ContainerStatus.RUNNING,
        isolation=Isolation.GVISOR,
        started_at=now,
        meter=Meter(held=359_500_000),
    )


def an_execution(container: Container, request: ExecutionRequest, now: datetime, output: Output) -> Execution:
    return Execution(
        id=new_id(EXECUTION),
        container_id=container.id,
        account_id=container.account_id,
        image=container.image,
        command=request.command,
        main=False,
        networking=container.networking,
        status=ExecutionStatus.COMPLETED,
        created_at=now,
        started_at=now,
        completed_at=now + timedelta(seconds=1.5),
        working_directory=request.working_directory,
        timeout_seconds=request.timeout_seconds or 3600,
        files_uploaded=len(request.files),
        exit_code=0,
        output=output,
    )
