"""Disks of a fixed size: a sparse file that holds an ext4 file system, mounted through a loop device.

The file takes the room on the host that its content needs, never more than its size, and gives back what is
deleted inside. Everything here blocks for some milliseconds: call it in a thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

from cognitora_server.host.mounts import MountFlag, mount

GIB = 1 << 30

# No journal: the disk does not outlive a crash of the host anyway, and writes cost half.
_MKE2FS = (
    *("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-O", "^has_journal,^resize_inode"),
    *("-E", "lazy_itable_init=1,nodiscard,root_owner=0:0"),
)

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_MAJOR = 7
_AUTOCLEAR = 4
_DIRECT_IO = 16
_ATTACH_ATTEMPTS = 64

_EXT4_SHUTDOWN = 0x8004587D
_SHUTDOWN_DROP_ALL = 2

# struct loop_config: fd, block size, struct loop_info64 (of which we set lo_flags), 64 reserved bytes.
_LOOP_CONFIG = struct.Struct("=II QQQQQ IIII 64s 64s 32s 2Q 64s")


class DiskTools:
    """Makes disks. Templates, one per size, are kept in `templates` and copied."""

    def __init__(self, templates: Path) -> None:
        self._templates = templates

    def create(self, image: Path, size_gb: int) -> None:
        """Make the file `image` with an empty file system of `size_gb` GiB, replacing what was there."""
        template = self._template(size_gb)
        image.unlink(missing_ok=True)
        _copy_sparse(template, image)

    def _template(self, size_gb: int) -> Path:
        template = self._templates / f"ext4-{size_gb}gb.img"
        if template.exists():
            return template
        self._templates.mkdir(parents=True, exist_ok=True)
        unfinished = template.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}")
        try:
            _make_file_system(unfinished, size_gb)
            unfinished.rename(template)
        finally:
            unfinished.unlink(missing_ok=True)
        return template


def mount_disk(image: Path, target: Path) -> None:
    """Mount the disk file `image` at `target`. Its loop device goes by itself when the mount does.

    Raises OSError; nothing is left behind then.
    """
    loop = _attach(image)
    try:
        # discard: what is deleted inside is given back to the host. noinit_itable: no background writing.
        mount(
            f"/dev/loop{loop.number}",
            target,
            "ext4",
            MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOATIME,
            "discard,noinit_itable",
        )
    finally:
        os.close(loop.descriptor)


def abandon_disk(target: Path) -> None:
    """Tell the file system mounted at `target` to forget what it has not written: it will be thrown away.

    Unmounting then costs nothing, however much was written last. Harmless where no ext4 is mounted.
    """
    with suppress(OSError):
        descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            # Only ever a file system that is mounted exactly here, never the host's own one around it.
            if os.fstat(descriptor).st_dev == target.parent.stat().st_dev:
                return
            fcntl.ioctl(descriptor, _EXT4_SHUTDOWN, struct.pack("=I", _SHUTDOWN_DROP_ALL))
        finally:
            os.close(descriptor)


def disk_use(image: Path) -> int:
    """Return how many bytes of the host's disk the file `image` takes; 0 when it is gone."""
    try:
        return image.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


class _Loop:
    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self.descriptor = descriptor


def _attach(image: Path) -> _Loop:
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTACH_ATTEMPTS):
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            descriptor = os.open(_node(number), os.O_RDWR | os.O_CLOEXEC)
            try:
                _configure(descriptor, backing)
            except OSError as error:
                os.close(descriptor)
                if error.errno != errno.EBUSY:  # somebody else was faster: take the next one
                    raise
            else:
                return _Loop(number, descriptor)
        raise OSError(errno.EBUSY, "no free loop device")
    finally:
        os.close(control)
        os.close(backing)


def _configure(descriptor: int, backing: int) -> None:
    flags = _AUTOCLEAR | _DIRECT_IO
    zeros = (0, 0, 0, 0, 0)
    for block_size in (4096, 0):
        config = _LOOP_CONFIG.pack(backing, block_size, *zeros, 0, 0, 0, flags, b"", b"", b"", 0, 0, b"")
        try:
            fcntl.ioctl(descriptor, _LOOP_CONFIGURE, config)
        except OSError as error:
            if error.errno != errno.EINVAL or block_size == 0:
                raise
        else:
            return


def _node(number: int) -> str:
    path = f"/dev/loop{number}"
    # In a container /dev may be a plain folder in which no nodes appear by themselves.
    with suppress(FileExistsError):
        os.mknod(path, stat.S_IFBLK | 0o660, os.makedev(_LOOP_MAJOR, number))
    return path


def _make_file_system(file: Path, size_gb: int) -> None:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size_gb * GIB)
    finally:
        os.close(descriptor)
    done = subprocess.run(
        [*_MKE2FS, str(file)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
    )
    if done.returncode != 0:
        raise OSError(errno.EIO, f"mke2fs failed: {done.stderr.strip()[:500]}")


def _copy_sparse(source: Path, target: Path) -> None:
    """Copy only what holds data; the holes stay holes."""
    read = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        write = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(read).st_size
            os.ftruncate(write, size)
            for start, end in _extents(read, size):
                _copy_range(read, write, start, end)
        finally:
            os.close(write)
    finally:
        os.close(read)


def _extents(descriptor: int, size: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        found.append((start, position))
    return found


def _copy_range(read: int, write: int, start: int, end: int) -> None:
    while start < end:
        copied = os.sendfile(write, read, start, end - start) if os.lseek(write, start, os.SEEK_SET) >= 0 else 0
        if copied == 0:
            raise OSError(errno.EIO, "the disk template is shorter than it was")
        start += copied
