"""Drivers that make sandboxes with an OCI runtime on this machine: `gvisor` (runsc) and `container` (crun, runc)."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from cognitora_server.drivers.base import Driver
from cognitora_server.drivers.oci.container import ContainerDriver
from cognitora_server.drivers.oci.driver import OciHost, RootfsProvider
from cognitora_server.drivers.oci.gvisor import GvisorDriver
from cognitora_server.drivers.oci.ready import ReadyFolders
from cognitora_server.host.disks import DiskTools
from cognitora_server.settings import Settings

__all__ = ["RootfsProvider", "oci_drivers"]

_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def oci_drivers(settings: Settings, rootfs: RootfsProvider) -> list[Driver]:
    """Return the drivers of this machine, strongest first. They share the disks that are kept ready."""
    data_dir = settings.data_dir.absolute()
    sandboxes = data_dir / "sandboxes"
    disks = DiskTools(data_dir / "templates")
    ready = ReadyFolders(sandboxes / "ready", disks, settings.default_storage_gb, settings.ready_disks)
    agent = agent_binary()

    def host(name: str) -> OciHost:
        return OciHost(data_dir, sandboxes / name, rootfs, agent, ready, settings.start_timeout_seconds)

    return [
        GvisorDriver(settings.runsc or find_runsc(), host("gvisor")),
        ContainerDriver(container_runtimes(settings.oci_runtime), host("container")),
    ]


def container_runtimes(named: Path | None) -> list[Path]:
    """Return what containers can be made with, best first: the one that was named, else crun, then runc."""
    if named is not None:
        return [named]
    found = (find_program(name) for name in ("crun", "runc"))
    return [program for program in found if program is not None]


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
