"""The folder of one sandbox: everything of it on the host, except its processes and its control group."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SOCKET_NAME = "agent.sock"

#: Where things are inside the sandbox.
GUEST_FOLDER = "/.cognitora"
GUEST_AGENT = f"{GUEST_FOLDER}/agent"
GUEST_SOCKETS = f"{GUEST_FOLDER}/sock"
GUEST_INBOX = f"{GUEST_FOLDER}/inbox"

_OUTPUT_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class SandboxFolder:
    """Names in the folder `path`. What a guest can write to lies on the disk, and so is bounded by its size."""

    path: Path

    @property
    def image(self) -> Path:
        """The disk's file."""
        return self.path / "disk.img"

    @property
    def disk(self) -> Path:
        """Where the disk is mounted."""
        return self.path / "disk"

    @property
    def sockets(self) -> Path:
        """The folder in which a gVisor guest's agent makes its socket."""
        return self.disk / "sock"

    @property
    def overlay(self) -> Path:
        """gVisor's file with everything that was written."""
        return self.disk / "overlay"

    @property
    def upper(self) -> Path:
        """The writable layer of a container's root."""
        return self.disk / "upper"

    @property
    def work(self) -> Path:
        """The overlay file system's own folder beside `upper`."""
        return self.disk / "work"

    @property
    def etc(self) -> Path:
        """Files shown in the guest's /etc."""
        return self.disk / "etc"

    @property
    def output(self) -> Path:
        """What the OCI runtime and the guest agent print."""
        return self.disk / "output"

    @property
    def rootfs(self) -> Path:
        """Where a container's root is mounted."""
        return self.path / "rootfs"

    @property
    def inbox(self) -> Path:
        """What the host gives to the guest, read-only inside."""
        return self.path / "inbox"

    @property
    def shown_inbox(self) -> Path:
        """The inbox as the guest gets it: mounted read-only, and with the guest's root as its owner."""
        return self.path / "inbox-shown"

    @property
    def layers(self) -> Path:
        """Where an image's layers are mounted for a moment, with their owners mapped."""
        return self.path / "layers"

    @property
    def bundle(self) -> Path:
        """The OCI bundle: `config.json`, beside the rest."""
        return self.path

    @property
    def runtime(self) -> Path:
        """The OCI runtime's own state."""
        return self.path / "runtime"

    @property
    def pid_file(self) -> Path:
        """Where the OCI runtime writes the process id of the sandbox."""
        return self.path / "pid"

    @property
    def handle(self) -> Path:
        """The handle, once the sandbox is whole."""
        return self.path / "handle.json"

    def make(self) -> None:
        """Make the folder and the plain folders in it. Blocks."""
        for folder in (self.path, self.disk, self.inbox, self.shown_inbox, self.runtime):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.inbox.chmod(0o755)  # read by any user inside; the folder above keeps others out

    def fill_disk(self) -> None:
        """Make the folders on the disk, which is mounted by now. Blocks."""
        for folder in (self.sockets, self.overlay, self.upper, self.work, self.etc):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.upper.chmod(0o755)

    def open_output(self) -> int:
        """Return a descriptor that appends to `output`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self.output, flags, 0o600)

    def read_output(self) -> str:
        """Return the last 4 KiB of what the OCI runtime and the agent printed; empty if there is none."""
        try:
            descriptor = os.open(self.output, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return ""
        try:
            start = max(0, os.fstat(descriptor).st_size - _OUTPUT_TAIL_BYTES)
            return os.pread(descriptor, _OUTPUT_TAIL_BYTES, start).decode("utf-8", "replace").strip()
        except OSError:
            return ""
        finally:
            os.close(descriptor)
