"""What is common to the OCI specifications of all our sandboxes: process, capabilities, mounts."""

from __future__ import annotations

import math
import resource
from pathlib import Path
from typing import Any

from cognitora_server.domain.containers import MIB
from cognitora_server.domain.resources import Resources
from cognitora_server.drivers.base import SandboxSpec
from cognitora_server.drivers.oci.layout import GUEST_AGENT, GUEST_FOLDER, GUEST_INBOX, SandboxFolder

Json = dict[str, Any]

#: What package managers, su, and servers that change their user need. Docker also gives MKNOD, NET_RAW, SETFCAP,
#: SYS_CHROOT and AUDIT_WRITE: none of them is needed to run code, and each has had its share in escapes.
CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
)

OPEN_FILES = 65_536
MIN_PROCESSES, MAX_PROCESSES = 64, 1024
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def process_limit(resources: Resources) -> int:
    """Return how many processes and threads a workload may have: about one for each 2 MiB of memory."""
    return min(MAX_PROCESSES, max(MIN_PROCESSES, resources.memory_mb // 2))


def processors(resources: Resources) -> int:
    """Return how many processors a workload sees."""
    return max(1, math.ceil(resources.cpu_cores))


def memory_bytes(resources: Resources) -> int:
    """Return the memory limit in bytes."""
    return resources.memory_mb * MIB


def shared_memory_bytes(resources: Resources) -> int:
    """Return the size of /dev/shm: half of the memory, of which it is a part."""
    return memory_bytes(resources) // 2


def hostname(container_id: str) -> str:
    """Return the host name inside: the container's id, with what DNS allows for the underscore."""
    return container_id.replace("_", "-")


def process(spec: SandboxSpec, listen: str, hide: tuple[str, ...], capabilities: tuple[str, ...]) -> Json:
    """Return the `process` of the specification: the guest agent."""
    arguments = [GUEST_AGENT, "init", "--listen", listen]
    for folder in hide:
        arguments += ["--hide", folder]
    arguments += ["--inbox", GUEST_INBOX, "--cpus", str(processors(spec.resources))]
    return {
        "user": {"uid": 0, "gid": 0},
        "args": arguments,
        "env": [_PATH],
        "cwd": "/",
        "noNewPrivileges": True,
        # Not inheritable nor ambient: a program that is not root's must not get any.
        "capabilities": {kind: list(capabilities) for kind in ("bounding", "effective", "permitted")},
        "rlimits": [_open_files(), {"type": "RLIMIT_CORE", "hard": 0, "soft": 0}],
    }


def bind(source: object, target: str, *options: str) -> Json:
    """Return a bind mount of a host file or folder."""
    return {
        "type": "bind",
        "source": str(source),
        "destination": target,
        "options": ["bind", "private", "nosuid", "nodev", *options],
    }


def guest_mounts(guest: Path, inbox: Path) -> list[Json]:
    """Return the mounts that the agent needs in every sandbox: its program's folder `guest`, and its inbox."""
    return [
        bind(guest, GUEST_FOLDER, "ro"),
        bind(inbox, GUEST_INBOX, "ro", "noexec"),
    ]


def etc_mounts(folder: SandboxFolder) -> list[Json]:
    """Return the mounts of the files that `write_etc` makes; the guest may change them, as with docker."""
    return [bind(folder.etc / name, f"/etc/{name}", "rw") for name in ("hosts", "hostname", "resolv.conf")]


def write_etc(folder: SandboxFolder, spec: SandboxSpec) -> None:
    """Write what the guest shows as /etc/hosts, /etc/hostname and /etc/resolv.conf. Blocks shortly."""
    name = hostname(spec.container_id)
    hosts = f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\t{name}\n"
    for file, text in (("hosts", hosts), ("hostname", f"{name}\n"), ("resolv.conf", "")):
        path = folder.etc / file
        path.write_text(text)
        path.chmod(0o644)


def _open_files() -> Json:
    # Without CAP_SYS_RESOURCE the OCI runtime cannot give more than this server has itself.
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = OPEN_FILES if allowed == resource.RLIM_INFINITY else min(OPEN_FILES, allowed)
    return {"type": "RLIMIT_NOFILE", "hard": limit, "soft": limit}
