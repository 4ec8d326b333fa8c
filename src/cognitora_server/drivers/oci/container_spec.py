"""The OCI specification of a sandbox of the `container` driver: a shared kernel, so everything else is closed."""

from __future__ import annotations

from pathlib import Path

from cognitora_server.drivers.base import SandboxSpec
from cognitora_server.drivers.oci import spec as oci
from cognitora_server.drivers.oci.layout import SandboxFolder
from cognitora_server.drivers.oci.seccomp import seccomp
from cognitora_server.host.idmaps import IdMap

_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys/fs/cgroup")

_NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")
_MEMINFO = "meminfo"


def specification(spec: SandboxSpec, folder: SandboxFolder, guest: Path, cgroup: str, idmap: IdMap | None) -> oci.Json:
    """Return `config.json`. With `idmap` the sandbox gets a user namespace of its own."""
    linux: oci.Json = {
        "cgroupsPath": cgroup,
        "namespaces": [{"type": kind} for kind in _NAMESPACES],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0"},
        "maskedPaths": list(_MASKED),
        "readonlyPaths": list(_READ_ONLY),
        "seccomp": seccomp(),
    }
    if idmap is not None:
        linux["namespaces"].append({"type": "user"})
        mapping = [{"containerID": 0, "hostID": idmap.first, "size": idmap.count}]
        linux["uidMappings"] = linux["gidMappings"] = mapping
    return {
        "ociVersion": "1.0.2",
        "hostname": oci.hostname(spec.container_id),
        "root": {"path": str(folder.rootfs), "readonly": False},
        # The listening socket comes as descriptor 3: the guest never sees a path to it.
        "process": oci.process(spec, "fd:3", (), oci.CAPABILITIES),
        "mounts": _mounts(spec, folder, guest),
        "linux": linux,
    }


def write_meminfo(folder: SandboxFolder, spec: SandboxSpec) -> None:
    """Write what the guest sees as /proc/meminfo: its limit in place of the host's memory. Blocks shortly."""
    total = oci.memory_bytes(spec.resources) // 1024
    lines = {"MemTotal": total, "MemFree": total, "MemAvailable": total, "Buffers": 0, "Cached": 0}
    lines |= {"SwapCached": 0, "SwapTotal": 0, "SwapFree": 0, "Shmem": 0, "SReclaimable": 0}
    path = folder.etc / _MEMINFO
    path.write_text("".join(f"{name + ':':<15} {kib:>8} kB\n" for name, kib in lines.items()))
    path.chmod(0o444)


def _mounts(spec: SandboxSpec, folder: SandboxFolder, guest: Path) -> list[oci.Json]:
    closed = ("nosuid", "noexec", "nodev")
    shm = f"size={oci.shared_memory_bytes(spec.resources)}"
    return [
        _mount("proc", "/proc", *closed),
        _mount("tmpfs", "/dev", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount("devpts", "/dev/pts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        _mount("tmpfs", "/dev/shm", *closed, "mode=1777", shm),  # noqa: S108 - a folder inside
        _mount("sysfs", "/sys", *closed, "ro"),
        _mount("cgroup", "/sys/fs/cgroup", *closed, "ro"),
        oci.bind(folder.etc / _MEMINFO, "/proc/meminfo", "ro", "noexec"),
        *oci.guest_mounts(guest, folder.shown_inbox),
        *oci.etc_mounts(folder),
    ]


def _mount(kind: str, target: str, *options: str) -> oci.Json:
    return {"type": kind, "source": kind, "destination": target, "options": list(options)}
