"""Mounts that show files as owned by other users: how a container's root is nobody on the host.

An id-mapped mount needs no copy and no chown of an image. System calls: open_tree, mount_setattr, move_mount.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_EMPTY_PATH = 0x1000
_AT_FDCWD = -100
_MOUNT_ATTR_RDONLY = 0x1
_MOUNT_ATTR_NOSUID = 0x2
_MOUNT_ATTR_NODEV = 0x4
_MOUNT_ATTR_IDMAP = 0x100000
_START_SECONDS = 5.0

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


@dataclass(frozen=True, slots=True)
class IdMap:
    """User and group ids 0 … `count` - 1 inside are `first` … on the host."""

    first: int
    count: int


class UserNamespace:
    """A user namespace with the mapping `idmap`, held open for mounts. Raises OSError where the host has none."""

    def __init__(self, idmap: IdMap) -> None:
        self.idmap = idmap
        self._descriptor = _make_namespace(idmap)

    def show(self, source: Path, target: Path) -> None:
        """Mount the folder `source` at `target` with mapped owners, read-only, nodev and nosuid.

        Raises OSError where the kernel or the file system cannot do it.
        """
        flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
        tree = _syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags)
        try:
            wanted = _MOUNT_ATTR_IDMAP | _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV
            attributes = _MountAttributes(wanted, 0, 0, self._descriptor)
            size = ctypes.sizeof(attributes)
            _syscall(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size)
            _syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(tree)

    def close(self) -> None:
        """Let go of the namespace; mounts made with it stay. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _make_namespace(idmap: IdMap) -> int:
    """A namespace is born with a process, and lives on with a descriptor."""
    process = subprocess.Popen(
        ["unshare", "--user", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        path = Path(f"/proc/{process.pid}/ns/user")
        _await_namespace(path)
        for kind in ("uid", "gid"):
            Path(f"/proc/{process.pid}/{kind}_map").write_text(f"0 {idmap.first} {idmap.count}\n")
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    finally:
        process.kill()
        process.communicate()


def _await_namespace(path: Path) -> None:
    ours, deadline = Path("/proc/self/ns/user").readlink(), time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            if path.readlink() != ours:
                return
        time.sleep(0.002)
    raise OSError("a user namespace could not be made")


def _syscall(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *map(_argument, arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _argument(value: object) -> object:
    return ctypes.c_long(value) if isinstance(value, int) else value
