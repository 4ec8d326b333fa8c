"""The audit log on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field

from ...domain.audit import Actor, AuditEntry, AuditFilter
from .base import CamelAnswer, Clean, Instant, Time, clean_text
from .listing import PageQuery

_Word = Annotated[Clean, Field(max_length=64), AfterValidator(clean_text)]


class AuditQuery(PageQuery):
    """Which entries to list."""

    action: Annotated[_Word | None, Field(description="Only this action, such as `container.create`.")] = None
    container_id: Annotated[_Word | None, Field(description="Only what was done to this container.")] = None
    since: Annotated[Instant | None, Field(description="Only from this time on.")] = None
    until: Annotated[Instant | None, Field(description="Only before this time.")] = None

    def to_domain(self, account_id: str) -> AuditFilter:
        """Return the conditions."""
        return AuditFilter(account_id, self.action, self.container_id, self.since, self.until)


class AuditOut(CamelAnswer):
    """Something that was done, or tried."""

    id: Annotated[str, Field(examples=["aud_0123456789abcdefghjk"])]
    time: Annotated[Time, Field(description="When it began.")]
    action: Annotated[str, Field(examples=["container.create", "container.exec", "key.create"])]
    status: Annotated[
        int | None,
        Field(description="The HTTP status it was answered with. null: at work, or cut off by the server's end."),
    ]
    actor: Annotated[Actor, Field(description="`key`: a caller with an API key; `cli`: the operator's command line.")]
    key_id: str | None
    key_name: str | None
    request_id: str | None
    remote_address: str | None
    container_id: str | None
    execution_id: str | None
    details: Annotated[
        dict[str, Any], Field(description="More, by action: a command's `program`, without its arguments.")
    ]

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """Spell the entry."""
        return cls(
            id=entry.id,
            time=entry.at,
            action=entry.action,
            status=entry.status,
            actor=entry.actor,
            key_id=entry.key_id,
            key_name=entry.key_name,
            request_id=entry.request_id,
            remote_address=entry.remote_address,
            container_id=entry.container_id,
            execution_id=entry.execution_id,
            details=dict(entry.details),
        )


class AuditListAnswer(CamelAnswer):
    """One page of the audit log, newest first."""

    entries: list[AuditOut]
    total: Annotated[int, Field(description="How many there are on all pages; counted up to 100,000.")]
    limit: int
    offset: int
