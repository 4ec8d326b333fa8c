"""Options that several commands share, and how they become settings and a store."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Collection
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer

from cognitora_server.domain.audit import Actor, AuditEntry
from cognitora_server.domain.clock import SystemClock
from cognitora_server.domain.ids import AUDIT, new_id
from cognitora_server.host.images import ImageSettings
from cognitora_server.server import image_settings
from cognitora_server.settings import DEFAULT_DATA_DIR, DEFAULT_SETTINGS_FILE, Settings, load_settings
from cognitora_server.store import Store
from cognitora_server.store.database import sqlite_url

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help=f"Where everything is kept (default {DEFAULT_DATA_DIR})."),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help=f"Settings file (default {DEFAULT_SETTINGS_FILE})."),
]


def settings_of(data_dir: Path | None, file: Path | None = None, **flags: Any) -> Settings:
    """Return the settings with these flags, absolute in its data directory."""
    settings = load_settings(file, data_dir=data_dir, **flags)
    return settings.model_copy(update={"data_dir": settings.data_dir.absolute()})


def store_of(settings: Settings) -> Store:
    """Open the store beside a server that may be running."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Store(settings.database_url or sqlite_url(settings.data_dir), checkpoints=False)


def operator() -> str:
    """Return who runs this command, for the audit log: behind sudo, the user who called it."""
    if os.geteuid() == 0 and (name := os.environ.get("SUDO_USER")):
        return name[:64]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def done_here(action: str, account_id: str, **details: str) -> AuditEntry:
    """Return the audit entry of what the operator does now."""
    details = {"user": operator(), **details}
    return AuditEntry(new_id(AUDIT), SystemClock().now(), Actor.CLI, action, account_id, details=details)


_chosen: ContextVar[Settings | None] = ContextVar("chosen", default=None)


def remember_settings(data_dir: DataDir = None, settings_file: SettingsFile = None) -> None:
    """Take the options that stand before the sub-commands of `images`."""
    _chosen.set(settings_of(data_dir, settings_file))


def images_settings() -> ImageSettings:
    """Return what the image side is told, by the options of the command that runs."""
    return image_settings(_chosen.get() or settings_of(None))


def images_in_use() -> Collection[str]:
    """Return the ids of the images that containers use now."""
    with store_of(_chosen.get() or settings_of(None)) as store:
        return {found.image_id for found in asyncio.run(store.containers.unfinished()) if found.image_id}
