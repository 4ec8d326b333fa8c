"""What the API needs from the rest: the verbs of the control layer, as protocols.

Every verb raises errors of `domain.errors`; another account's resource raises NotFound.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from ..domain.accounts import Authenticated
from ..domain.audit import AuditEntry, AuditFilter
from ..domain.clock import Clock
from ..domain.containers import Container, ContainerChange, ContainerFilter, ContainerRequest
from ..domain.credits import Cost
from ..domain.executions import Execution, ExecutionFilter, ExecutionRequest
from ..domain.pages import Listing, Page
from ..domain.resources import Resources
from ..domain.usage import UsageFilter, UsageReport
from ..settings import Settings


class Containers(Protocol):
    """The verbs on containers."""

    async def create(self, account_id: str, request: ContainerRequest, idempotency_key: str | None = None) -> Container:
        """Accept a container; it starts on its own. The claimed key remembers it."""
        ...

    async def get(self, account_id: str, container_id: str) -> Container:
        """Return one container."""
        ...

    async def list(self, account_id: str, where: ContainerFilter, page: Page) -> Listing[Container]:
        """Return one page of the account's containers, newest first."""
        ...

    async def update(self, account_id: str, container_id: str, change: ContainerChange) -> Container:
        """Move the deadline, or set another idle timeout."""
        ...

    async def cancel(self, account_id: str, container_id: str) -> Container:
        """End a container; one that has ended stays as it is."""
        ...

    async def logs(self, account_id: str, container_id: str) -> str:
        """Return what the container's main command wrote."""
        ...

    def estimate(self, resources: Resources, seconds: float) -> Cost:
        """Return what `resources` cost, held for `seconds`."""
        ...


class Executions(Protocol):
    """The verbs on executions."""

    async def run(
        self, account_id: str, container_id: str, request: ExecutionRequest, idempotency_key: str | None = None
    ) -> Execution:
        """Run a command and return when it has ended; waits for a container that is still starting.

        The claimed key remembers it.
        """
        ...

    async def ended(self, account_id: str, execution_id: str) -> Execution:
        """Return one execution when it has ended."""
        ...

    async def get(self, account_id: str, execution_id: str) -> Execution:
        """Return one execution."""
        ...

    async def list(self, account_id: str, where: ExecutionFilter, page: Page) -> Listing[Execution]:
        """Return one page of executions, newest first."""
        ...


class Files(Protocol):
    """The verbs on files."""

    async def write(self, account_id: str, container_id: str, path: str, content: AsyncIterator[bytes]) -> int:
        """Write a file; return its size in bytes."""
        ...


class Keys(Protocol):
    """Who may come in."""

    async def authenticate(self, secret: str) -> Authenticated | None:
        """Return which valid key this is, and the account that it opens."""
        ...


class StoredResponse(Protocol):
    """The first answer to a request with an Idempotency-Key."""

    @property
    def status(self) -> int:
        """Its HTTP status."""
        ...

    @property
    def body(self) -> bytes:
        """Its body, byte for byte."""
        ...


class Claim(Protocol):
    """What is known of a request with an Idempotency-Key."""

    @property
    def answer(self) -> StoredResponse | None:
        """Its first answer; None: the caller does the work, and calls finish or abandon."""
        ...

    @property
    def made(self) -> str | None:
        """The id of what it made before it could answer."""
        ...


class Idempotency(Protocol):
    """Answers kept by account and Idempotency-Key."""

    async def claim(self, account_id: str, key: str, fingerprint: str) -> Claim:
        """Return what is known of the request, and claim the key if there is no answer yet.

        Waits while the first request is still at work; raises IdempotencyConflict for another fingerprint.
        """
        ...

    async def finish(self, account_id: str, key: str, status: int, body: bytes) -> None:
        """Keep the answer."""
        ...

    async def abandon(self, account_id: str, key: str) -> None:
        """Forget the claim: the next request with this key does the work that is left."""
        ...


class Audit(Protocol):
    """Who did what."""

    def begin(self, entry: AuditEntry) -> None:
        """Take an action that begins now; `finish` takes it again, with its status."""
        ...

    def finish(self, entry: AuditEntry) -> None:
        """Take an action that is done. It is written down soon."""
        ...

    def refused(self, remote_address: str | None) -> None:
        """Count a request without a valid key."""
        ...

    async def list(self, wanted: AuditFilter, page: Page) -> Listing[AuditEntry]:
        """Return one page of entries, newest first."""
        ...


class Usage(Protocol):
    """The verb of usage."""

    async def report(self, account_id: str, wanted: UsageFilter, page: Page) -> UsageReport:
        """Return what the account has used until this moment, and how it stands."""
        ...


class Health(Protocol):
    """Whether the server can do its work."""

    async def ready(self) -> list[str]:
        """Return what is wrong, in sentences; empty means ready."""
        ...


class Metrics(Protocol):
    """What happens, in numbers."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer. `route` is a template, never an address."""
        ...

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the API stands on. The composition root fills it in."""

    containers: Containers
    executions: Executions
    files: Files
    keys: Keys
    idempotency: Idempotency
    health: Health
    audit: Audit
    usage: Usage
    metrics: Metrics
    settings: Settings
    clock: Clock
