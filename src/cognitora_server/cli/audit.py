"""`cognitora audit`: who did what."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cognitora_server.domain.audit import AuditEntry, AuditFilter
from cognitora_server.domain.errors import InvalidRequest
from cognitora_server.domain.pages import Page

from .options import DataDir, SettingsFile, settings_of, store_of

_WIDE = 1000


def audit(
    account: Annotated[str | None, typer.Option(help="Only this account's (name or id).")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, such as container.create.")] = None,
    container: Annotated[str | None, typer.Option(help="Only what was done to this container (id).")] = None,
    since: Annotated[str | None, typer.Option(help="Only from this time on (ISO 8601; UTC without a zone).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
) -> None:
    """Show who did what: every request that was to change something, refused keys, and what was done with keys.

    The newest comes last.
    """
    with store_of(settings_of(data_dir, settings_file)) as store:
        account_id = asyncio.run(store.keys.account_id(account)) if account is not None else None
        wanted = AuditFilter(account_id, action, container, _time(since))
        entries = asyncio.run(store.audit.list(wanted, Page(limit))).items[::-1]
    if as_json:
        for entry in entries:
            typer.echo(json.dumps(asdict(entry) | {"at": entry.at.isoformat()}))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("TIME", "ACTION", "STATUS", "KEY", "FROM", "CONTAINER", "REQUEST", "DETAILS"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        table.add_row(*map(escape, _row(entry)))
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest("--since must be a time in ISO 8601, such as 2030-01-31T12:00:00Z.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _row(entry: AuditEntry) -> tuple[str, ...]:
    return (
        entry.at.isoformat(timespec="seconds"),
        entry.action,
        str(entry.status or ""),
        entry.key_name or entry.actor,
        entry.remote_address or "",
        entry.container_id or "",
        entry.request_id or "",
        " ".join(f"{name}={value}" for name, value in entry.details.items()),
    )
