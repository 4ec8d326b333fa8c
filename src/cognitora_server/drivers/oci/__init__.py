"""Drivers that make sandboxes with an OCI runtime on this machine: `gvisor` (runsc) and `container` (crun, runc)."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from cognitora_server.drivers.base import Driver
from cognitora_server.drivers.oci.driver import RootfsProvider
from cognitora_server.drivers.oci.gvisor import GvisorDriver
from cognitora_server.drivers.oci.ready import ReadyFolders
from cognitora_server.host.disks import DiskTools
from cognitora_server.settings import Settings

__all__ = ["RootfsProvider", "oci_drivers"]

_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def oci_drivers(settings: Settings, rootfs: RootfsProvider) -> list[Driver]:
    """Return the drivers of this machine, strongest first. They share the disks that are kept ready."""
    sandboxes = settings.data_dir / "sandboxes"
    ready = ReadyFolders(
        sandboxes / "ready",
        DiskTools(settings.data_dir / "templates"),
        settings.default_storage_gb,
        settings.ready_disks,
    )
    gvisor = GvisorDriver(
        settings.runsc or find_runsc(),
        root=sandboxes / "gvisor",
        rootfs=rootfs,
        agent=agent_binary(),
        ready=ready,
        start_timeout=settings.start_timeout_seconds,
    )
    return [gvisor]


def find_runsc() -> Path | None:
    """Return runsc: the one installed beside this Python, else the first on PATH, else None."""
    beside = Path(sys.executable).parent / "runsc"
    return beside if beside.is_file() else find_program("runsc")


def find_program(name: str) -> Path | None:
    """Return a program on PATH or in the system's folders, which a service's PATH may lack; else None."""
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM_FOLDERS)
    return Path(found) if found else None


def agent_binary() -> Path:
    """Return where the guest agent for this machine's processor lies in the package, built or not."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = Path(__file__).resolve().parents[2]
    return package / "guest" / "bin" / f"agent-linux-{machine}"
