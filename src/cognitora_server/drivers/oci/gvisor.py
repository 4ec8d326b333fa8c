"""The `gvisor` driver: sandboxes with a kernel of their own, written in Go, made by runsc."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from cognitora_server.domain.containers import Isolation
from cognitora_server.drivers.base import Probe, SandboxSpec
from cognitora_server.drivers.oci import spec as oci
from cognitora_server.drivers.oci.driver import OciDriver, OciHost, socket_names
from cognitora_server.drivers.oci.layout import GUEST_SOCKETS, SOCKET_NAME, SandboxFolder
from cognitora_server.drivers.oci.runsc import Version, notes_on, runsc_version
from cognitora_server.drivers.oci.trials import why_not
from cognitora_server.host.cgroups import Cgroup, Limits

# gVisor never shows fewer processors than this; the agent limits itself to fewer.
_FEWEST_PROCESSORS = 2
_HOST_PROCESSES_FACTOR, _HOST_PROCESSES_BASE = 3, 256


Network = Literal["none", "sandbox", "host"]
"""How gVisor gets at the network: not at all, through its own network stack, or through its namespace's."""

_TECHNOLOGY = "gVisor (runsc)"
_REMEDY = "See what a host needs in docs/isolation.md; ./quickstart installs the newest runsc it can get."
_INSTALL = "Run ./quickstart or ./check, which install runsc, or name one with the setting 'runsc'."


class GvisorDriver(OciDriver):
    """Boots gVisor with `runsc`. Nothing of a workload's system calls reaches the host's kernel directly."""

    isolation = Isolation.GVISOR
    # runsc joins any group, and where it is in it already, that costs nothing: 20 ms of each boot with version 1.
    _nested_cgroups = False

    def __init__(self, runsc: Path | None, host: OciHost, *, network: Network = "none") -> None:
        super().__init__(host)
        self._runsc = runsc
        self._network = network
        self._probe: Probe | None = None

    async def probe(self) -> Probe:
        """Boot a sandbox, and say how it went. Done once; later calls return what was found."""
        if self._probe is None:
            self._probe = await _probe(self._runsc, self._host)
        return self._probe

    async def _prepare(self, spec: SandboxSpec, folder: SandboxFolder, cgroup: Cgroup) -> None:
        root = await self._host.rootfs.mounted(spec.image)
        oci.write_etc(folder, spec)
        # gVisor takes the number of processors that it shows from its group; the real limit comes after the boot.
        cgroup.limit_cpu(max(_FEWEST_PROCESSORS, oci.processors(spec.resources)))
        config = specification(spec, folder, root, self._guest.shown, cgroup.sandbox_path)
        (folder.bundle / "config.json").write_text(json.dumps(config))

    async def _run(self, spec: SandboxSpec, folder: SandboxFolder, cgroup: Cgroup) -> int:
        return await self._run_command([str(self._runsc), *_arguments(spec, folder, self._network)], folder, cgroup)

    def _socket_at(self, folder: SandboxFolder) -> tuple[Path, tuple[str, ...]]:
        return folder.disk, socket_names("sock")

    def _limits(self, spec: SandboxSpec) -> Limits:
        # The guest's own limit stops a fork bomb inside; this one holds if gVisor itself is broken into. Reaching
        # it would end the sandbox, so it leaves room: gVisor has host threads for what runs inside.
        inside = oci.process_limit(spec.resources)
        return Limits(oci.memory_bytes(spec.resources), inside * _HOST_PROCESSES_FACTOR + _HOST_PROCESSES_BASE)


def _arguments(spec: SandboxSpec, folder: SandboxFolder, network: Network) -> list[str]:
    return [
        f"--root={folder.runtime}",
        "--platform=systrap",
        f"--network={network}",
        "--host-uds=create",
        f"--overlay2=root:dir={folder.overlay}",
        "--cpu-num-from-quota=true",
        "run",
        "--detach",
        f"--bundle={folder.bundle}",
        f"--pid-file={folder.pid_file}",
        spec.container_id,
    ]


def specification(spec: SandboxSpec, folder: SandboxFolder, root: Path, guest: Path, cgroup: str) -> oci.Json:
    """Return the OCI specification (`config.json`) of a gVisor sandbox."""
    # The agent needs CAP_SYS_ADMIN to unmount its socket's folder, and drops it before it runs anything.
    process = oci.process(
        spec,
        f"unix:{GUEST_SOCKETS}/{SOCKET_NAME}",
        (GUEST_SOCKETS, "/tmp"),  # noqa: S108 - the folder inside
        (*oci.CAPABILITIES, "CAP_SYS_ADMIN"),
    )
    limit = oci.process_limit(spec.resources)
    process["rlimits"].append({"type": "RLIMIT_NPROC", "hard": limit, "soft": limit})
    return {
        "ociVersion": "1.0.2",
        "hostname": oci.hostname(spec.container_id),
        "root": {"path": str(root), "readonly": False},
        "process": process,
        "mounts": [
            {"type": "proc", "source": "proc", "destination": "/proc"},
            {"type": "sysfs", "source": "sysfs", "destination": "/sys", "options": ["ro", "nosuid", "nodev"]},
            _tmpfs("/dev/shm", f"size={oci.shared_memory_bytes(spec.resources)}", "mode=1777"),  # noqa: S108
            # gVisor would put a tmpfs, which takes memory, over an empty /tmp. This one is unmounted by the agent
            # and so brings forth the disk's /tmp.
            _tmpfs("/tmp", "mode=1777"),  # noqa: S108
            *oci.guest_mounts(guest, folder.shown_inbox),
            *oci.etc_mounts(folder),
            oci.bind(folder.sockets, GUEST_SOCKETS, "rw", "noexec"),
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
        },
    }


def _tmpfs(target: str, *options: str) -> oci.Json:
    return {"type": "tmpfs", "source": "tmpfs", "destination": target, "options": ["nosuid", "nodev", *options]}


async def _probe(runsc: Path | None, host: OciHost) -> Probe:
    if runsc is None:
        return _unavailable("runsc is not installed", _INSTALL)
    if os.geteuid() != 0:
        return _unavailable("making sandboxes takes root", "Run cognitora as root.")
    try:
        version = await runsc_version(runsc)
    except OSError as error:
        return _unavailable(f"{runsc} cannot be run: {error.strerror or error}", _INSTALL)
    if version.too_old:
        return _unavailable(
            "this runsc is older than 2024, which is too slow and lacks what is needed", _INSTALL, version
        )
    reason = await why_not(lambda trial: GvisorDriver(runsc, trial), host)
    if reason is not None:
        return _unavailable(reason, _REMEDY, version)
    return Probe(
        Isolation.GVISOR,
        available=True,
        technology=_TECHNOLOGY,
        version=version.text,
        notes=(*notes_on(version), await _network_note(runsc, host)),
    )


async def _network_note(runsc: Path, host: OciHost) -> str:
    """Find out by trying how this runsc could give a sandbox networking on this kernel."""

    async def works(network: Network) -> bool:
        return await why_not(lambda trial: GvisorDriver(runsc, trial, network=network), host) is None

    if await works("sandbox"):
        return "networking would go through gVisor's own network stack (--network=sandbox)"
    if await works("host"):
        return "networking would go through the host's network stack in a namespace of its own (--network=host)"
    return "no way of networking works with this runsc on this kernel"


def _unavailable(problem: str, remedy: str, version: Version | None = None) -> Probe:
    text = version.text if version else ""
    return Probe(Isolation.GVISOR, False, _TECHNOLOGY, text, problem=problem, remedy=remedy)
