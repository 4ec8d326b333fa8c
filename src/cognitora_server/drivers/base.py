"""The contract of a driver.

A driver boots, connects and destroys; the guest agent does the work inside. It keeps next to no state: every
name on the host is derived from the container's id, so after a crash `sandboxes()` tells what is there and
`recover()` or `destroy()` deal with it. All verbs are asynchronous, idempotent, and safe to repeat after a
crash at any point.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cognitora_server.domain.containers import Isolation, Usage
from cognitora_server.domain.images import Image
from cognitora_server.domain.resources import Resources


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a driver needs to make a sandbox. Environment, folder and files come later, with each execution."""

    container_id: str
    image: Image
    resources: Resources
    networking: bool = False


@dataclass(frozen=True, slots=True)
class SandboxExit:
    """Why a sandbox is gone. `oom` with the limit and the peak in bytes when the kernel ended it for memory."""

    oom: bool = False
    memory_limit_bytes: int = 0
    memory_peak_bytes: int = 0
    detail: str = ""


class Sandbox(Protocol):
    """A live sandbox. It is only a view: dropping it changes nothing on the host."""

    container_id: str

    @property
    def handle(self) -> Mapping[str, object]:
        """A small JSON value from which `Driver.recover` finds the sandbox again after a restart."""
        ...

    @property
    def guest_socket(self) -> str:
        """Path to connect to for the guest agent. It leads to a verified socket, whatever the guest does."""
        ...

    @property
    def inbox(self) -> str:
        """A host folder that the guest reads at its inbox, for large uploads."""
        ...

    async def wait(self) -> SandboxExit:
        """Return when the sandbox is gone, with why. Cancelling the wait changes nothing."""
        ...

    async def usage(self) -> Usage:
        """Return what it has used so far. Costs well under a millisecond."""
        ...

    async def oom_kills(self) -> int:
        """Return how many processes inside the kernel has killed for memory so far."""
        ...

    def close(self) -> None:
        """Give back the file descriptors of this view. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a driver works on this host: `problem` and `remedy` say why not and what mends it."""

    isolation: Isolation
    available: bool
    technology: str
    version: str = ""
    problem: str = ""
    remedy: str = ""
    notes: tuple[str, ...] = ()


class Driver(abc.ABC):
    """Makes sandboxes with one technology."""

    isolation: Isolation

    @abc.abstractmethod
    async def probe(self) -> Probe:
        """Find out, by really trying, whether this driver works here. May take seconds; never raises."""

    @abc.abstractmethod
    async def create(self, spec: SandboxSpec) -> Sandbox:
        """Boot a sandbox; return once its guest agent can be connected to. Well under a second.

        A sandbox of the same id that is half made or dead is replaced. Raises DriverError (with what the
        technology said) and leaves nothing behind then.
        """

    @abc.abstractmethod
    async def recover(self, container_id: str, handle: Mapping[str, object]) -> Sandbox:
        """Return the live sandbox made earlier. Raises SandboxGone when it does not run any more."""

    @abc.abstractmethod
    async def destroy(self, container_id: str) -> None:
        """End the sandbox and remove every trace: processes, mounts, cgroups, files. Gone already: no error."""

    @abc.abstractmethod
    async def sandboxes(self) -> set[str]:
        """Return the container ids of everything of this driver that is on the host, whole or in pieces."""

    async def start(self) -> None:  # noqa: B027 - optional
        """Prepare the host (folders, ready disks). Called once before anything else."""

    async def stop(self) -> None:  # noqa: B027 - optional
        """Give back what `start` prepared. Sandboxes go on running."""
