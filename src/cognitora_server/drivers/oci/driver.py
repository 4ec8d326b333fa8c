"""What both OCI drivers have in common: one sandbox's life from folder and control group to nothing."""

from __future__ import annotations

import abc
import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cognitora_server.domain.errors import CognitoraError, DriverError, SandboxGone
from cognitora_server.domain.ids import CONTAINER, is_id
from cognitora_server.domain.images import Image
from cognitora_server.drivers.base import Driver, SandboxSpec
from cognitora_server.drivers.oci.guest_folder import GuestFolder
from cognitora_server.drivers.oci.layout import SOCKET_NAME, SandboxFolder
from cognitora_server.drivers.oci.ready import ReadyFolders, finish, remove_folder
from cognitora_server.drivers.oci.sandbox import OciSandbox
from cognitora_server.host.cgroups import Cgroup, Cgroups, CgroupsUnavailable, Hierarchy, Limits
from cognitora_server.host.processes import (
    ProcessIdentity,
    open_process,
    process_ended,
    spawn,
    wait_or_kill,
)
from cognitora_server.host.sockets import UntrustedSocket, answers, open_socket

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_POLL_SECONDS = 0.002
_ERROR_CHARACTERS = 600


class RootfsProvider(Protocol):
    """Gives the root file systems of images; `host.images.Rootfs` is one."""

    async def mounted(self, image: Image) -> Path:
        """Return where the image is mounted, read-only."""
        ...

    async def layers(self, image: Image) -> Sequence[Path]:
        """Return the folders of an overlay of the image, top first."""
        ...


@dataclass(frozen=True, slots=True)
class OciHost:
    """What an OCI driver is given: its own folder `root` below `data_dir`, images, the agent's program, disks.

    `start_timeout`: seconds until the agent must answer.
    """

    data_dir: Path
    root: Path
    rootfs: RootfsProvider
    agent: Path
    ready: ReadyFolders
    start_timeout: float = 60.0


class OciDriver(Driver):
    """Keeps everything of a sandbox in `<root>/<container id>/`, and its processes in a group of that name."""

    #: Whether the OCI runtime wants an empty control group for the container, apart from its own commands.
    _nested_cgroups = True

    def __init__(self, host: OciHost) -> None:
        self._host = host
        # As the kernel's list of mounts names it.
        self._root = Path(os.path.realpath(host.root))
        self._guest = GuestFolder(self._root)
        self._groups: Cgroups | None = None
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def cgroup_parent(self) -> str:
        """The control group of all sandboxes of this driver, its own for each data directory of a host."""
        return f"cognitora-{hashlib.sha256(os.fsencode(self._root)).hexdigest()[:8]}"

    async def start(self) -> None:
        """Make the folders and the control group, and begin to prepare disks. Raises DriverError."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._cgroups(prepared=True)
        await asyncio.to_thread(self._guest.prepare, self._host.agent)
        await self._host.ready.start()

    async def stop(self) -> None:
        """Remove prepared disks, and the control group if no sandbox is left in it."""
        await self._host.ready.stop()
        self._guest.remove()
        self._cgroups().remove()

    async def create(self, spec: SandboxSpec) -> OciSandbox:
        """Boot a sandbox, or return the one that is whole and alive. See the contract."""
        _check(spec.container_id)
        async with self._lock(spec.container_id):
            with suppress(SandboxGone):
                return self._open(spec.container_id, None)
            await self._remove(spec.container_id)
            try:
                return await self._create(spec)
            except BaseException as error:
                reason = self._reason(spec.container_id, error)
                await finish(self._remove(spec.container_id))
                if isinstance(error, OSError | TimeoutError):
                    raise DriverError(f"The sandbox could not be started: {reason}") from error
                raise

    async def recover(self, container_id: str, handle: Mapping[str, object]) -> OciSandbox:
        """Return the sandbox behind `handle` if it is whole and alive. Raises SandboxGone."""
        _check(container_id)
        async with self._lock(container_id):
            return self._open(container_id, handle)

    async def destroy(self, container_id: str) -> None:
        """Remove every trace of the sandbox."""
        _check(container_id)
        async with self._lock(container_id):
            try:
                await finish(self._remove(container_id))
            except (OSError, TimeoutError) as error:
                raise DriverError(f"The sandbox could not be removed: {error}") from error
        self._locks.pop(container_id, None)

    async def sandboxes(self) -> set[str]:
        """Return the ids of all folders and control groups. What is mounted or runs is in one of them."""
        names = self._cgroups().names()
        with suppress(FileNotFoundError):
            names.update(entry.name for entry in os.scandir(self._root))
        return {name for name in names if is_id(name, CONTAINER)}

    @abc.abstractmethod
    async def _prepare(self, spec: SandboxSpec, folder: SandboxFolder, cgroup: Cgroup) -> None:
        """Fill the folder: bundle, root file system."""

    @abc.abstractmethod
    async def _run(self, spec: SandboxSpec, folder: SandboxFolder, cgroup: Cgroup) -> int:
        """Run the OCI runtime until the sandbox is detached; return its exit status."""

    @abc.abstractmethod
    def _socket_at(self, folder: SandboxFolder) -> tuple[Path, tuple[str, ...]]:
        """Return the folder that is ours, and the names below it that lead to the agent's socket."""

    @abc.abstractmethod
    def _limits(self, spec: SandboxSpec) -> Limits:
        """Return the limits of the whole control group."""

    async def _create(self, spec: SandboxSpec) -> OciSandbox:
        deadline = time.monotonic() + self._host.start_timeout
        cgroup = self._cgroups(prepared=True).group(spec.container_id)
        folder = await self._host.ready.take(self._root / spec.container_id, spec.resources.storage_gb)
        cgroup.create(self._limits(spec))
        await self._prepare(spec, folder, cgroup)
        status = await self._run(spec, folder, cgroup)
        if status != 0:
            raise OSError(f"the OCI runtime ended with status {status}")
        sandbox = await self._attach(spec.container_id, folder, cgroup, deadline)
        # Only now: a boot within the limit of a small sandbox takes many times as long.
        cgroup.limit_cpu(spec.resources.cpu_cores)
        _write_whole(folder.handle, json.dumps(sandbox.handle))
        return sandbox

    async def _attach(self, container_id: str, folder: SandboxFolder, cgroup: Cgroup, deadline: float) -> OciSandbox:
        identity = ProcessIdentity.of(int(folder.pid_file.read_text()))
        pidfd = open_process(identity)
        try:
            socket = await self._await_agent(folder, pidfd, deadline)
        except BaseException:
            os.close(pidfd)
            raise
        return OciSandbox(container_id, identity=identity, folder=folder, cgroup=cgroup, pidfd=pidfd, socket=socket)

    async def _await_agent(self, folder: SandboxFolder, pidfd: int, deadline: float) -> int:
        ours, names = self._socket_at(folder)
        while time.monotonic() < deadline:
            with suppress(FileNotFoundError):
                socket = open_socket(ours, *names)
                if answers(socket):
                    return socket
                os.close(socket)
            if process_ended(pidfd):
                raise OSError("the sandbox ended before its guest agent answered")
            await asyncio.sleep(_POLL_SECONDS)
        raise TimeoutError("the guest agent does not answer")

    def _open(self, container_id: str, handle: Mapping[str, object] | None) -> OciSandbox:
        folder = SandboxFolder(self._root / container_id)
        try:
            kept = json.loads(folder.handle.read_text())
            if handle is not None and dict(handle) != kept:
                raise SandboxGone("The sandbox was replaced by another one.")
            identity = ProcessIdentity(**kept)
            pidfd = open_process(identity)
        except (FileNotFoundError, ProcessLookupError, ValueError, TypeError) as error:
            raise SandboxGone from error
        try:
            ours, names = self._socket_at(folder)
            socket = open_socket(ours, *names)
        except (FileNotFoundError, NotADirectoryError, UntrustedSocket) as error:
            os.close(pidfd)
            raise SandboxGone("The guest agent's socket is gone.") from error
        group = self._cgroups().group(container_id)
        return OciSandbox(container_id, identity=identity, folder=folder, cgroup=group, pidfd=pidfd, socket=socket)

    async def _remove(self, container_id: str) -> None:
        group = self._cgroups().group(container_id)
        await group.kill()
        path = self._root / container_id
        if path.exists():
            await asyncio.to_thread(remove_folder, path)
        await group.remove()

    def _reason(self, container_id: str, error: BaseException) -> str:
        """Say what the OCI runtime said, without the paths of this host."""
        folder = self._root / container_id
        said = SandboxFolder(folder).read_output()
        text = f"{error}: {said}" if said else str(error)
        for path in (folder, self._root, self._host.data_dir, Path(sys.prefix)):
            text = text.replace(f"{path}/", "").replace(str(path), path.name)
        return " ".join(text.split())[-_ERROR_CHARACTERS:]

    async def _run_command(
        self, command: Sequence[str], folder: SandboxFolder, cgroup: Cgroup, hand_over: int | None = None
    ) -> int:
        output = folder.open_output()
        try:
            process = await spawn(
                command,
                cgroup_files=cgroup.entry_files,
                output=output,
                environment=_ENVIRONMENT,
                hand_over=hand_over,
            )
            return await wait_or_kill(process, self._host.start_timeout)
        finally:
            os.close(output)

    def _cgroups(self, *, prepared: bool = False) -> Cgroups:
        """Return the control groups; `prepared`: made if need be, as others may tidy up what is empty."""
        try:
            if self._groups is None:
                self._groups = Cgroups(Hierarchy.detect(), self.cgroup_parent, nested=self._nested_cgroups)
            if prepared:
                self._groups.prepare()
        except CgroupsUnavailable as error:
            raise DriverError(f"Nothing can be limited on this host: {error}.") from error
        return self._groups

    def _lock(self, container_id: str) -> asyncio.Lock:
        return self._locks.setdefault(container_id, asyncio.Lock())


def socket_names(*folders: str) -> tuple[str, ...]:
    """Return the names from a folder of ours to the agent's socket."""
    return (*folders, SOCKET_NAME)


def _check(container_id: str) -> None:
    """Only an id of our own making ever becomes part of a path."""
    if not is_id(container_id, CONTAINER):
        raise CognitoraError(f"{container_id!r} is no container id.")


def _write_whole(file: Path, text: str) -> None:
    unfinished = file.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.rename(file)
