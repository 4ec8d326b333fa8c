"""`cognitora accounts`: what accounts may spend and hold."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cognitora_server.domain.accounts import Account, AccountLimits

from .options import DataDir, SettingsFile, done_here, settings_of, store_of

app = typer.Typer(
    help="List accounts, and set what they may spend in a month and hold at once. Changes count at once, also for a "
    "running server. 'cognitora keys create NAME --account ACCOUNT' makes accounts."
)

_WIDE = 1000
_NONE, _DEFAULT = "none", "default"
_HOW = f"'{_NONE}': without limit; '{_DEFAULT}': as the server's settings say."


@app.command("list")
def list_accounts(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
) -> None:
    """Show all accounts and the limits that hold for them."""
    settings = settings_of(data_dir, settings_file)
    with store_of(settings) as store:
        accounts = asyncio.run(store.accounts.list())
    _show([_plain(account, settings.account_limits) for account in accounts], as_json)


@app.command("set")
def set_limits(
    name: Annotated[str, typer.Argument(help="The account's name.")],
    budget_credits: Annotated[str | None, typer.Option(help=f"Credits for a calendar month (UTC). {_HOW}")] = None,
    max_containers: Annotated[str | None, typer.Option(help=f"Containers at once. {_HOW}")] = None,
    max_cpu_cores: Annotated[str | None, typer.Option(help=f"CPU cores at once. {_HOW}")] = None,
    max_memory_mb: Annotated[str | None, typer.Option(help=f"MiB of memory at once. {_HOW}")] = None,
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
) -> None:
    """Change an account's limits; those that are not named stay as they are."""
    given = {
        "budget_credits": (budget_credits, float),
        "max_containers": (max_containers, int),
        "max_cpu_cores": (max_cpu_cores, float),
        "max_memory_mb": (max_memory_mb, int),
    }
    named = {limit: (text, kind) for limit, (text, kind) in given.items() if text is not None}
    if not named:
        raise typer.BadParameter("Name at least one limit, such as --budget-credits 100.")
    forget = {limit for limit, (text, _) in named.items() if text == _DEFAULT}
    changes = {limit: _value(limit, text, kind) for limit, (text, kind) in named.items() if limit not in forget}
    settings = settings_of(data_dir, settings_file)
    with store_of(settings) as store:
        account = asyncio.run(store.accounts.set_limits(name, changes, forget))
        details = {limit: text for limit, (text, _) in named.items()}
        asyncio.run(store.audit.add([done_here("account.limits", account.id, **details)]))
    _show([_plain(account, settings.account_limits)], False)


def _value(limit: str, text: str, kind: Callable[[str], float]) -> float | None:
    if text == _NONE:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1e12:
        what = "whole number" if kind is int else "number"
        option = f"--{limit.replace('_', '-')}"
        raise typer.BadParameter(f"{option} must be a {what} from 0, '{_NONE}' or '{_DEFAULT}', not {text!r}.")
    return value


def _plain(account: Account, defaults: AccountLimits) -> dict[str, object]:
    limits = asdict(account.limits_within(defaults))
    return {"id": account.id, "name": account.name, **limits, "own": sorted(account.limits)}


def _show(accounts: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(accounts, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("ID", no_wrap=True)
    for heading in ("NAME", "CREDITS A MONTH", "CONTAINERS", "CPU CORES", "MEMORY (MiB)"):
        table.add_column(heading, overflow="fold")
    for account in accounts:
        *cells, own = account.items()
        table.add_row(*(_cell(name, value, own[1]) for name, value in cells))
    # Without a terminal nothing is cut or folded: scripts read whole lines.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _cell(name: str, value: object, own: object) -> str:
    if name in ("id", "name"):
        return escape(str(value))
    text = _NONE if value is None else f"{value:.12g}"
    return text if isinstance(own, list) and name in own else f"{text} (default)"
