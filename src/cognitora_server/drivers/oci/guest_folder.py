"""The folder that every guest sees as /.cognitora: the agent's program, and places to mount onto."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from cognitora_server.host.mounts import MountFlag, bind, unmount


class GuestFolder:
    """`shown` is what guests get: a read-only mount of the folder `files`, so that the host's kernel forbids writing.

    An OCI runtime's own read-only flag is not enough: gVisor of 2024 lets a guest truncate a file in such a mount,
    and with the agent's program that would end all the other sandboxes too.
    """

    def __init__(self, root: Path) -> None:
        self.shown = root / "guest"
        self._files = root / "guest-files"

    def prepare(self, agent: Path) -> None:
        """Copy the program `agent` and mount the folder. Running guests keep what they have. Blocks.

        Raises OSError; FileNotFoundError where the agent was not built.
        """
        for name in ("sock", "inbox"):
            (self._files / name).mkdir(parents=True, exist_ok=True)
        self._copy(agent)
        self.remove()
        self.shown.mkdir(exist_ok=True)
        bind(self._files, self.shown, MountFlag.RDONLY | MountFlag.NOSUID | MountFlag.NODEV)

    def remove(self) -> None:
        """Unmount the folder; running guests do not notice. Idempotent."""
        while unmount(self.shown):
            pass

    def _copy(self, agent: Path) -> None:
        copy = self._files / "agent"
        if copy.exists() and filecmp.cmp(agent, copy, shallow=False):
            return
        unfinished = self._files / f".agent-{os.getpid()}"
        try:
            shutil.copyfile(agent, unfinished)
            unfinished.chmod(0o555)
            unfinished.rename(copy)
        finally:
            unfinished.unlink(missing_ok=True)
