"""The `gvisor` driver: sandboxes with a kernel of their own, written in Go, made by runsc."""

from __future__ import annotations

import json
import math
from pathlib import Path

from cognitora_server.domain.containers import Isolation
from cognitora_server.drivers.base import Probe, SandboxSpec
from cognitora_server.drivers.oci import spec as oci
from cognitora_server.drivers.oci.driver import OciDriver, RootfsProvider, socket_names
from cognitora_server.drivers.oci.layout import GUEST_SOCKETS, SOCKET_NAME, SandboxFolder
from cognitora_server.drivers.oci.ready import ReadyFolders
from cognitora_server.host.cgroups import PERIOD_US, Cgroup, Limits

# gVisor never shows fewer processors than this; the agent limits itself to fewer.
_FEWEST_PROCESSORS = 2
_HOST_PROCESSES_FACTOR, _HOST_PROCESSES_BASE = 3, 256


class GvisorDriver(OciDriver):
    """Boots gVisor with `runsc`. Nothing of a workload's system calls reaches the host's kernel directly."""

    def __init__(
        self,
        runsc: Path | None,
        *,
        root: Path,
        rootfs: RootfsProvider,
        agent: Path,
        ready: ReadyFolders,
        start_timeout: float = 60.0,
    ) -> None:
        super().__init__(
            isolation=Isolation.GVISOR,
            root=root,
            rootfs=rootfs,
            agent=agent,
            ready=ready,
            start_timeout=start_timeout,
        )
        self._runsc = runsc

    async def probe(self) -> Probe:
        """Boot a sandbox and say how it went."""
        return Probe(Isolation.GVISOR, self._runsc is not None, "gVisor (runsc)")

    async def _prepare(self, spec: SandboxSpec, folder: SandboxFolder, cgroup: Cgroup) -> None:
        root = await self._rootfs.mounted(spec.image)
        oci.write_etc(folder, spec)
        config = specification(spec, folder, root, self._guest, cgroup.sandbox_path)
        (folder.bundle / "config.json").write_text(json.dumps(config))

    async def _run(self, spec: SandboxSpec, folder: SandboxFolder, cgroup: Cgroup) -> int:
        return await self._run_command([str(self._runsc), *_arguments(spec, folder)], folder, cgroup)

    def _socket_at(self, folder: SandboxFolder) -> tuple[Path, tuple[str, ...]]:
        return folder.disk, socket_names("sock")

    def _limits(self, spec: SandboxSpec) -> Limits:
        # The guest's own limit stops a fork bomb inside; this one holds if gVisor itself is broken into. Reaching
        # it would end the sandbox, so it leaves room: gVisor has host threads for what runs inside.
        inside = oci.process_limit(spec.resources)
        return Limits(oci.memory_bytes(spec.resources), inside * _HOST_PROCESSES_FACTOR + _HOST_PROCESSES_BASE)


def _arguments(spec: SandboxSpec, folder: SandboxFolder) -> list[str]:
    return [
        f"--root={folder.runtime}",
        "--platform=systrap",
        "--network=none",
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
            *oci.guest_mounts(folder, guest),
            *oci.etc_mounts(folder),
            oci.bind(folder.sockets, GUEST_SOCKETS, "rw", "noexec"),
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            # gVisor derives what it shows inside from these.
            "resources": {
                "memory": {"limit": oci.memory_bytes(spec.resources)},
                "cpu": {"quota": _processors(spec) * PERIOD_US, "period": PERIOD_US},
            },
        },
    }


def _processors(spec: SandboxSpec) -> int:
    return max(_FEWEST_PROCESSORS, math.ceil(spec.resources.cpu_cores))


def _tmpfs(target: str, *options: str) -> oci.Json:
    return {"type": "tmpfs", "source": "tmpfs", "destination": target, "options": ["nosuid", "nodev", *options]}
