"""The `container` driver: ordinary containers, made by crun or runc. They share the host's kernel."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from cognitora_server.domain.containers import Isolation
from cognitora_server.domain.errors import DriverError
from cognitora_server.drivers.base import Probe, SandboxSpec
from cognitora_server.drivers.oci import spec as oci
from cognitora_server.drivers.oci.choices import Choice, choose
from cognitora_server.drivers.oci.container_spec import specification, write_meminfo
from cognitora_server.drivers.oci.driver import OciDriver, OciHost, socket_names
from cognitora_server.drivers.oci.layout import SOCKET_NAME, SandboxFolder
from cognitora_server.drivers.oci.ready import finish
from cognitora_server.host.cgroups import Cgroup, Limits
from cognitora_server.host.idmaps import UserNamespace
from cognitora_server.host.mounts import MountFlag, mount_overlay, unmount, unmount_below
from cognitora_server.host.sockets import listen_at

# What strangers wrote into a layer's attributes must not lead elsewhere; nothing has to survive a crash.
_OVERLAY_OPTIONS = "redirect_dir=nofollow,metacopy=off,index=off,volatile"
_FLAGS = MountFlag.NODEV | MountFlag.NOSUID | MountFlag.NOATIME
_OUR_PROCESSES = 48  # the agent's threads and the OCI runtime, beside the workload's


class ContainerDriver(OciDriver):
    """Starts containers with crun or runc: namespaces, few capabilities, seccomp, a user namespace if it works.

    `candidates` are tried in their order; a `choice` needs no trying.
    """

    isolation = Isolation.CONTAINER

    def __init__(self, candidates: Sequence[Path], host: OciHost, *, choice: Choice | None = None) -> None:
        super().__init__(host)
        self._candidates = tuple(candidates)
        self._choice = choice
        self._probe: Probe | None = None

    async def probe(self) -> Probe:
        """Start a container, and say how it went. Done once; later calls return what was found."""
        if self._probe is None:
            self._probe, self._choice = await choose(self._candidates, self._host, _chosen)
        return self._probe

    @property
    def choice(self) -> Choice | None:
        """With what containers are made; None before it was found out, and where nothing works."""
        return self._choice

    async def start(self) -> None:
        """Prepare the host. Raises DriverError where nothing to make containers with works."""
        if self._choice is None:
            problem = (await self.probe()).problem
            if self._choice is None:
                raise DriverError(f"Containers cannot be started on this host: {problem}.")
        await super().start()
        if self._choice.users is not None:
            _let_through(self._root, self._host.data_dir, self._choice.users.idmap.first)

    async def _prepare(self, spec: SandboxSpec, folder: SandboxFolder, cgroup: Cgroup) -> None:
        users = self._chosen.users
        layers = await self._host.rootfs.layers(spec.image)
        oci.write_etc(folder, spec)
        write_meminfo(folder, spec)
        await finish(asyncio.to_thread(_mount_root, folder, layers, users))
        idmap = users.idmap if users else None
        config = specification(spec, folder, self._guest.shown, cgroup.sandbox_path, idmap)
        (folder.bundle / "config.json").write_text(json.dumps(config))

    async def _run(self, spec: SandboxSpec, folder: SandboxFolder, cgroup: Cgroup) -> int:
        command = [
            str(self._chosen.runtime),
            f"--root={folder.runtime}",
            "run",
            "--detach",
            "--preserve-fds=1",
            f"--bundle={folder.bundle}",
            f"--pid-file={folder.pid_file}",
            spec.container_id,
        ]
        with listen_at(folder.path, SOCKET_NAME) as listener:
            return await self._run_command(command, folder, cgroup, hand_over=listener.fileno())

    def _socket_at(self, folder: SandboxFolder) -> tuple[Path, tuple[str, ...]]:
        return folder.path, socket_names()

    def _limits(self, spec: SandboxSpec) -> Limits:
        return Limits(oci.memory_bytes(spec.resources), oci.process_limit(spec.resources) + _OUR_PROCESSES)

    @property
    def _chosen(self) -> Choice:
        if self._choice is None:
            raise DriverError("The driver was not started.")
        return self._choice


def _chosen(host: OciHost, choice: Choice) -> OciDriver:
    return ContainerDriver((), host, choice=choice)


def _mount_root(folder: SandboxFolder, layers: Sequence[Path], users: UserNamespace | None) -> None:
    """Mount the container's root: an overlay of the image's `layers` and the disk."""
    folder.rootfs.mkdir(mode=0o755, exist_ok=True)
    shown = _map_owners(folder, layers, users) if users else layers
    mount_overlay(
        folder.rootfs,
        shown,
        upper=folder.upper,
        work=folder.work,
        flags=_FLAGS,
        options=_OVERLAY_OPTIONS,
    )
    # The overlay has its own hold on the layers.
    unmount_below(folder.layers)


def _map_owners(folder: SandboxFolder, layers: Sequence[Path], users: UserNamespace) -> list[Path]:
    """Make the guest's root the owner of what it shall own, whatever the user namespace calls it."""
    first = users.idmap.first
    shown = []
    for number, layer in enumerate(layers):
        target = folder.layers / str(number)
        target.mkdir(parents=True)
        users.show(layer, target)
        shown.append(target)
    unmount(folder.shown_inbox)
    users.show(folder.inbox, folder.shown_inbox)
    for path in (folder.upper, *folder.etc.iterdir()):
        os.chown(path, first, first)
    folder.etc.chmod(0o755)
    _let_through(folder.path, folder.path, first)
    return shown


def _let_through(path: Path, top: Path, group: int) -> None:
    """Let `group`, and nobody else, pass through the folders from `path` up to `top`, without looking into them."""
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & 0o001:
            os.chown(folder, -1, group)
            folder.chmod((mode & 0o700) | 0o010)
        if folder == top:
            return
