"""Mounting on Linux: mount(2), umount2(2) and the kernel's own list of what is mounted.

The system calls are made directly: a `mount` process costs milliseconds, re-interprets options, and cannot
take directories by descriptor. Every call here returns at once; none needs a thread.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

OPTIONS_LIMIT = 4096 - 1
"""mount(2) reads one page of options and silently drops the rest: longer ones are refused here."""

_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_OCTAL = re.compile(r"\\([0-7]{3})")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]


class MountFlag(IntFlag):
    """The flags of mount(2) that we use, under the kernel's names."""

    NONE = 0
    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    REMOUNT = 32
    NOATIME = 1024
    BIND = 4096
    REC = 16384
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One line of /proc/self/mountinfo, unescaped."""

    mount_id: int
    parent_id: int
    device: str
    """`major:minor` of the file system."""
    root: str
    """What of the file system is mounted: `/`, or a directory of it for a bind mount."""
    target: Path
    options: frozenset[str]
    fstype: str
    source: str
    super_options: str


def mount(
    source: str | Path,
    target: Path,
    fstype: str = "",
    flags: MountFlag = MountFlag.NONE,
    data: str = "",
) -> None:
    """Mount `source` at `target`; `OSError` with the target's name when the kernel refuses.

    The kernel ignores other flags in the call that makes a bind mount: a read-only one takes a second call,
    with `BIND | REMOUNT | RDONLY` (`bind` does both).
    """
    options = os.fsencode(data)
    if len(options) > OPTIONS_LIMIT:
        raise OSError(errno.E2BIG, "mount options too long", str(target))
    result = _libc.mount(os.fsencode(source), os.fsencode(target), fstype.encode() or None, int(flags), options or None)
    if result != 0:
        raise _failure(target)


def bind(source: Path, target: Path, flags: MountFlag = MountFlag.NONE) -> None:
    """Show the directory or file `source` at `target` too, with `flags` (RDONLY, NODEV, …) truly applied."""
    mount(source, target, flags=MountFlag.BIND | (flags & MountFlag.REC))
    restrictions = flags & ~(MountFlag.BIND | MountFlag.REC)
    if not restrictions:
        return
    try:
        mount("none", target, flags=MountFlag.BIND | MountFlag.REMOUNT | restrictions)
    except OSError:
        unmount(target)
        raise


def mount_overlay(
    target: Path,
    lowers: Sequence[Path],
    *,
    upper: Path | None = None,
    work: Path | None = None,
    source: str = "overlay",
    flags: MountFlag = MountFlag.NONE,
    options: str = "",
) -> None:
    """Mount an overlay of `lowers` (top first) at `target`; read-only unless `upper` and `work` are given.

    Directories are passed by descriptor. So a path may hold `:` and `,`, what was checked is what gets
    mounted, and 127 layers fit in mount(2)'s page of options (about 2.3 KB of it). Links are not followed.
    """
    with ExitStack() as stack:
        parts = ["lowerdir=" + ":".join(stack.enter_context(_pinned(path)) for path in lowers)]
        if upper is not None and work is not None:
            parts.append("upperdir=" + stack.enter_context(_pinned(upper)))
            parts.append("workdir=" + stack.enter_context(_pinned(work)))
        else:
            flags |= MountFlag.RDONLY
        if options:
            parts.append(options)
        mount(source, target, "overlay", flags, ",".join(parts))


def unmount(target: Path, detach: bool = True) -> bool:
    """Unmount what is on top at `target`; False where nothing is mounted. Links are not followed.

    With `detach` the name is freed at once and the file system goes when its last user does; without, a busy
    mount raises `OSError` (EBUSY).
    """
    flags = _UMOUNT_NOFOLLOW | (_MNT_DETACH if detach else 0)
    if _libc.umount2(os.fsencode(target), flags) == 0:
        return True
    if ctypes.get_errno() in (errno.EINVAL, errno.ENOENT):
        return False
    raise _failure(target)


def mounts(under: Path | None = None) -> list[MountPoint]:
    """What this process's mount namespace holds, in mount order; only at or below `under` when given."""
    # Names are the kernel's bytes: surrogateescape keeps those that are not UTF-8 usable.
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    found = [_parse(line) for line in text.split("\n") if line]
    if under is None:
        return found
    return [point for point in found if point.target.is_relative_to(under)]


def unmount_below(root: Path) -> int:
    """Detach every mount at or below `root`, newest first; returns how many there were."""
    points = mounts(root)
    return sum(unmount(point.target) for point in reversed(points))


@contextmanager
def _pinned(path: Path) -> Iterator[str]:
    """Hold `path` (a real directory, no link) open; gives a name for it that mount options can carry."""
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _parse(line: str) -> MountPoint:
    # "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": optional fields end at the lone dash.
    fields = line.split(" ")
    dash = fields.index("-", 6)
    fstype, source, super_options = [*fields[dash + 1 :], "", "", ""][:3]
    return MountPoint(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        device=fields[2],
        root=_unescape(fields[3]),
        target=Path(_unescape(fields[4])),
        options=frozenset(fields[5].split(",")),
        fstype=fstype,
        source=_unescape(source),
        super_options=_unescape(super_options),
    )


def _unescape(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def _failure(target: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), str(target))
