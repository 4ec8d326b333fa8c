"""`cognitora keys`: who may use the API."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cognitora_server.domain.accounts import ApiKey
from cognitora_server.domain.clock import SystemClock

from .options import DataDir, SettingsFile, operator, settings_of, store_of

app = typer.Typer(help="Create, list and revoke API keys. Changes count at once, also for a running server.")

_WIDE = 1000

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call the key, for example who uses it.")],
    account: Annotated[str, typer.Option(help="The account that it opens; made if it is new.")] = "default",
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
) -> None:
    """Make a key and print it, alone, on standard output. It is shown only now: only its hash is kept."""
    with store_of(settings_of(data_dir, settings_file)) as store:
        _, secret = asyncio.run(store.keys.create(name, account, SystemClock().now(), operator()))
    typer.echo(secret)


@app.command("list")
def list_keys(as_json: _JSON = False, data_dir: DataDir = None, settings_file: SettingsFile = None) -> None:
    """Show all keys, never the secrets."""
    with store_of(settings_of(data_dir, settings_file)) as store:
        keys = asyncio.run(store.keys.list())
    if as_json:
        typer.echo(json.dumps([_plain(key) for key in keys], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("ID", no_wrap=True)
    for heading in ("NAME", "ACCOUNT", "BEGINS WITH", "CREATED", "REVOKED"):
        table.add_column(heading, overflow="fold")
    for key in keys:
        table.add_row(*(escape(value or "") for value in _plain(key).values()))
    # Without a terminal nothing is cut or folded: scripts read whole lines.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's name or id.")],
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
) -> None:
    """Make a key useless, at once and for ever."""
    with store_of(settings_of(data_dir, settings_file)) as store:
        revoked = asyncio.run(store.keys.revoke(key, SystemClock().now(), operator()))
    typer.echo(f"Revoked {revoked.name} ({revoked.id}).")


def _plain(key: ApiKey) -> dict[str, str | None]:
    return {
        "id": key.id,
        "name": key.name,
        "account": key.account_name,
        "hint": f"{key.hint}…",
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "revoked_at": key.revoked_at.isoformat(timespec="seconds") if key.revoked_at else None,
    }
