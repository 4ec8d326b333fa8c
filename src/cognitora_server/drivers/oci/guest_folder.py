"""The folder that every guest sees as /.cognitora: the agent's program, and places to mount onto."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path


def prepare_guest_folder(folder: Path, agent: Path) -> None:
    """Make `folder` with a copy of the program `agent` in it. Running guests keep the one they have. Blocks.

    Raises OSError; FileNotFoundError where the agent was not built.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o755)
    for name in ("sock", "inbox"):
        (folder / name).mkdir(mode=0o755, exist_ok=True)
    copy = folder / "agent"
    if copy.exists() and filecmp.cmp(agent, copy, shallow=False):
        return
    unfinished = folder / f".agent-{os.getpid()}"
    try:
        shutil.copyfile(agent, unfinished)
        unfinished.chmod(0o555)
        unfinished.rename(copy)
    finally:
        unfinished.unlink(missing_ok=True)
