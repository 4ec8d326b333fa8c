"""What calls are given: files, and the published client's request objects.

A request object holds the arguments of one call: `create_container(**dataclasses.asdict(request))`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

Isolation = Literal["auto", "microvm", "gvisor", "container"]


class Secret:
    """The value of a variable that is given to the processes and never shown again: `{"TOKEN": Secret("…")}`."""

    # No dataclass: `asdict` of a request would make a mapping of it, which does not say any more that it is secret.
    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Secret(…)"


Environment = Mapping[str, str | Secret]


@dataclass
class FileUpload:
    """A file to write before a command starts.

    A relative `name` lands in the command's working directory; missing folders are made. `content` is text, or with
    `encoding="base64"` bytes in base64. `from_bytes` and `from_path` encode for you. For large files `write_file` is
    faster.
    """

    name: str
    content: str
    encoding: str = "string"

    def __post_init__(self) -> None:
        if isinstance(self.content, bytes):
            raise TypeError(
                "The content is bytes, which JSON has no form for: use FileUpload.from_bytes(name, content)."
            )

    @classmethod
    def from_bytes(cls, name: str, content: bytes) -> Self:
        """Return the upload of these bytes."""
        return cls(name, base64.b64encode(content).decode(), "base64")

    @classmethod
    def from_path(cls, path: str | Path, name: str | None = None) -> Self:
        """Return the upload of a local file, under its own name if no other is given. Raises OSError."""
        path = Path(path)
        return cls.from_bytes(name or path.name, path.read_bytes())


@dataclass
class ComputeExecutionRequest:
    """The arguments of `create_container`."""

    image: str
    cpu_cores: float
    memory_mb: int
    max_cost_credits: float | None = None
    command: list[str] | None = None
    persistent: bool = False
    environment: dict[str, str | Secret] | None = None
    timeout_seconds: int | None = None
    expires_at: str | None = None
    storage_gb: int | None = None
    gpu_count: int = 0
    networking: bool | None = None


@dataclass
class PersistentContainerRequest:
    """The arguments of `create_container` for a container that outlives its command."""

    image: str
    cpu_cores: float
    memory_mb: int
    max_cost_credits: float | None = None
    persistent: bool = True
    command: list[str] | None = None
    timeout_seconds: int | None = None
    expires_at: str | None = None
    environment: dict[str, str | Secret] | None = None
    storage_gb: int | None = None
    gpu_count: int = 0
    networking: bool | None = None


@dataclass
class ContainerExecRequest:
    """The arguments of `execute_in_container`, beside the container's id."""

    command: list[str]
    files: list[FileUpload] | None = None
    timeout_seconds: int | None = None
    working_directory: str | None = None
    environment: dict[str, str | Secret] | None = None


@dataclass
class ContainerUpdateRequest:
    """The arguments of `update_container`, beside the container's id."""

    timeout_seconds: int | None = None
    expires_at: str | None = None
