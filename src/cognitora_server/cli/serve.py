"""`cognitora serve`: the server, in the foreground."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cognitora_server import server

from .options import DataDir, SettingsFile, settings_of


def serve(
    data_dir: DataDir = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the API listens (default 127.0.0.1:8080).")
    ] = None,
    isolation: Annotated[
        str | None, typer.Option(help="Isolation of containers that ask for none: auto, gvisor or container.")
    ] = None,
    minimum_isolation: Annotated[
        str | None, typer.Option(help="Refuse weaker isolation than this: gvisor or container.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    settings_file: SettingsFile = None,
) -> None:
    """Run the server until it is interrupted. Containers go on running, and are found again by the next one.

    Every setting can also stand in the settings file or in the environment as COGNITORA_NAME; `docs/settings.md`
    lists them.
    """
    settings = settings_of(
        data_dir,
        settings_file,
        listen=listen,
        isolation=isolation,
        minimum_isolation=minimum_isolation,
        log_level=log_level,
    )
    asyncio.run(server.serve(settings))
