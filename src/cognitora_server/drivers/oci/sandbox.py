"""A live sandbox of an OCI runtime, seen from the host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict

from cognitora_server.domain.containers import Usage
from cognitora_server.drivers.base import SandboxExit
from cognitora_server.drivers.oci.layout import SandboxFolder
from cognitora_server.host.cgroups import Cgroup
from cognitora_server.host.disks import disk_use
from cognitora_server.host.processes import ProcessIdentity, exit_signal, wait_process
from cognitora_server.host.sockets import connect_path


class OciSandbox:
    """See `drivers.base.Sandbox`. Holds two descriptors: of the process, and of the agent's socket."""

    def __init__(
        self,
        container_id: str,
        *,
        identity: ProcessIdentity,
        folder: SandboxFolder,
        cgroup: Cgroup,
        pidfd: int,
        socket: int,
    ) -> None:
        self.container_id = container_id
        self._identity = identity
        self._folder = folder
        self._cgroup = cgroup
        self._pidfd = pidfd
        self._socket = socket
        # What the group cannot tell any more once it is removed.
        self._limit = cgroup.memory_limit()

    @property
    def handle(self) -> Mapping[str, object]:
        """The identity of the process: enough, as everything else is named after the container."""
        return asdict(self._identity)

    @property
    def guest_socket(self) -> str:
        """A path that leads to the very socket that was checked."""
        return connect_path(self._socket)

    @property
    def inbox(self) -> str:
        """The folder that the guest sees, read-only, as its inbox."""
        return str(self._folder.inbox)

    async def wait(self) -> SandboxExit:
        """Return when the sandbox is gone, with why."""
        # Of its own: this view may be closed before the sandbox is gone.
        pidfd = os.dup(self._pidfd)
        try:
            await wait_process(pidfd)
            number = await exit_signal(self._identity, pidfd)
        finally:
            os.close(pidfd)
        peak = self._cgroup.memory_peak()
        # An unknown end (older kernels do not tell) counts; a regular one after a kill inside was not for memory.
        if self._cgroup.oom_kills() and number != 0:
            return SandboxExit(True, self._limit, peak, "the sandbox ran out of memory")
        return SandboxExit(False, self._limit, peak, _why(number))

    async def usage(self) -> Usage:
        """Return what it has used so far."""
        return Usage(self._cgroup.cpu_seconds(), self._cgroup.memory_peak(), disk_use(self._folder.image))

    async def oom_kills(self) -> int:
        """Return how many processes the kernel has killed here for memory."""
        return self._cgroup.oom_kills()

    def close(self) -> None:
        """Close the descriptors."""
        for name in ("_pidfd", "_socket"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                setattr(self, name, -1)
                os.close(descriptor)


def _why(number: int | None) -> str:
    if number is None:
        return "the sandbox ended"
    if number:
        return f"the sandbox process was killed by signal {number}"
    return "the guest agent ended, or was killed from inside"
