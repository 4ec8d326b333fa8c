"""`cognitora doctor`: what this host can do, and what would mend what it cannot."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cognitora_server.server import diagnose

from .options import DataDir, SettingsFile, settings_of


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
) -> None:
    """Show what this host can isolate containers with, by trying, and what is missing with the command that mends it.

    Exit code 1 when no container could be run.
    """
    report = asyncio.run(diagnose(settings_of(data_dir, settings_file)))
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2, default=str))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for check in report.checks:
            mark = {"ok": "[green]ok[/]     ", "note": "[yellow]note[/]   ", "missing": "[red]missing[/]"}[check.state]
            console.print(f"{mark}  [bold]{escape(check.name)}[/]: {escape(check.finding)}")
            for note in check.notes:
                console.print(f"           {escape(note)}")
            if check.remedy:
                console.print(f"           mend it: {escape(check.remedy)}")
        console.print(f"\n{escape(report.summary)}")
    if not report.usable:
        raise typer.Exit(1)
