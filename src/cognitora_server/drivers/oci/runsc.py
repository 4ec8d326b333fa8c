"""Which runsc this is, how old, and what a newer one would bring."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OLDEST_YEAR = 2024
"""Older ones lack `--host-uds` and the fast systrap platform."""

RECENT = "20260101"
"""From about here on gVisor boots faster and stops using the processor when its sandbox is idle."""

_SOURCES = {
    "release": "gVisor's own release",
    "module": "built here from gVisor's Go module",
    "debian": "Debian's package",
}
_DATE = re.compile(r"20[2-9]\d[01]\d[0-3]\d")
_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Version:
    """A program's version as it names itself; `date` is YYYYMMDD, or empty where nothing tells."""

    text: str
    date: str = ""
    source: str = ""

    @property
    def too_old(self) -> bool:
        """Whether it is from before 2024."""
        return bool(self.date) and int(self.date[:4]) < OLDEST_YEAR


async def runsc_version(runsc: Path) -> Version:
    """Ask `runsc`, and the note that set-up left beside it, which version it is.

    Raises OSError when it cannot be run. A version that nothing tells is not an error.
    """
    said = await ask_version(runsc)
    first = said.splitlines()[0] if said else ""
    text = first.removeprefix("runsc version").strip()
    note = _note(runsc)
    if "MISSING" in text or not text:
        text = str(note.get("version", "")) or "unknown version"
    found = _DATE.search(text)
    return Version(text[:100], found.group() if found else "", str(note.get("source", ""))[:100])


async def ask_version(program: Path) -> str:
    """Return what `program --version` prints. Raises OSError when it cannot be run or does not end."""
    process = await asyncio.create_subprocess_exec(
        str(program),
        "--version",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise OSError(f"{program.name} --version does not end") from error
    return output.decode("utf-8", "replace")


def notes_on(version: Version) -> list[str]:
    """Say where this runsc is from, and what a newer one would bring."""
    notes = [f"runsc is {_SOURCES.get(version.source, version.source)}"] if version.source else []
    if version.date and version.date < RECENT:
        notes.append("a runsc of 2026 boots faster and uses no processor time while its sandbox is idle")
    return notes


def _note(runsc: Path) -> dict[str, object]:
    """Read `libexec/runsc.json`, which set-up writes for the runsc that it installed."""
    with suppress(OSError, ValueError):
        note = json.loads((runsc.parent.parent / "libexec" / "runsc.json").read_text())
        if isinstance(note, dict) and Path(str(note.get("path", ""))).resolve() == runsc.resolve():
            return note
    return {}
