"""Reading what podman says about an image. Images are written by strangers: everything is bounded here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from cognitora_server.domain.images import ImageConfig

MAX_ARGUMENTS = 1024
MAX_ARGUMENT_LENGTH = 128 * 1024
"""The kernel's own limit for one argument or variable."""
MAX_VARIABLES = 1024
MAX_LABELS = 256
MAX_LABEL_LENGTH = 4096
MAX_VOLUMES = 64
MAX_PATH_LENGTH = 4096
MAX_USER_LENGTH = 256

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """All that never changes for an image id, plus where its layers lie."""

    id: str
    digest: str
    config: ImageConfig
    size_bytes: int
    created_at: datetime
    layers: tuple[Path, ...]
    """The layers' directories, top first, as podman names them; not yet checked."""


def read_record(raw: Mapping[str, Any]) -> ImageRecord:
    """One element of `podman image inspect`. Never raises on odd values: they are dropped or cut."""
    return ImageRecord(
        id=str(raw.get("Id", "")),
        digest=str(raw.get("Digest", "")),
        config=read_config(raw.get("Config") or {}, str(raw.get("Architecture", ""))),
        size_bytes=int(raw.get("Size") or 0),
        created_at=_time(raw.get("Created")),
        layers=_layers(raw.get("GraphDriver") or {}),
    )


def read_config(raw: Mapping[str, Any], architecture: str) -> ImageConfig:
    """The `Config` of an image."""
    return ImageConfig(
        entrypoint=_arguments(raw.get("Entrypoint")),
        cmd=_arguments(raw.get("Cmd")),
        env=MappingProxyType(dict(_variables(raw.get("Env")))),
        working_dir=_absolute(raw.get("WorkingDir")) or "/",
        user=_text(raw.get("User"), MAX_USER_LENGTH),
        volumes=_volumes(raw.get("Volumes")),
        labels=MappingProxyType(dict(_labels(raw.get("Labels")))),
        architecture=_text(architecture, 32),
    )


def _arguments(value: Any) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list):
        return ()
    return tuple(_without_nul(word) for word in words[:MAX_ARGUMENTS] if isinstance(word, str))


def _without_nul(word: str) -> str:
    return word.replace("\0", "")[:MAX_ARGUMENT_LENGTH]


def _variables(value: Any) -> Iterable[tuple[str, str]]:
    for entry in (value if isinstance(value, list) else [])[:MAX_VARIABLES]:
        name, equals, content = entry.partition("=") if isinstance(entry, str) else ("", "", "")
        if equals and name and not _UNPRINTABLE.search(name) and len(name) <= MAX_LABEL_LENGTH:
            yield name, _without_nul(content)


def _labels(value: Any) -> Iterable[tuple[str, str]]:
    items = list(value.items())[:MAX_LABELS] if isinstance(value, dict) else []
    for name, content in items:
        yield _text(name, MAX_LABEL_LENGTH), _text(content, MAX_LABEL_LENGTH)


def _volumes(value: Any) -> tuple[str, ...]:
    paths = (_absolute(path) for path in (value if isinstance(value, dict) else {}))
    return tuple(sorted({path for path in paths if path and path != "/"})[:MAX_VOLUMES])


def _absolute(value: Any) -> str | None:
    """An absolute path without `..`; None for anything else."""
    if not isinstance(value, str) or not value or "\0" in value or len(value) > MAX_PATH_LENGTH:
        return None
    path = PurePosixPath("/" + value.lstrip("/"))
    return None if ".." in path.parts else str(path)


def _text(value: Any, limit: int) -> str:
    """One printable line: no control characters, nothing that turns the direction of writing."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(value or "")[:limit])


def _time(value: Any) -> datetime:
    try:
        # Fractions have up to nine digits; Python reads six.
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(value))).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)


def _layers(driver: Mapping[str, Any]) -> tuple[Path, ...]:
    data = driver.get("Data") or {}
    top, lower = data.get("UpperDir", ""), data.get("LowerDir", "")
    return tuple(Path(path) for path in (top, *lower.split(":")) if path)
