"""Unix sockets in folders that a sandbox can write: opened without following links, and checked."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

BACKLOG = 1024


class UntrustedSocket(OSError):
    """What stands where the socket should be is none."""


def open_socket(folder: Path, *names: str) -> int:
    """Return an O_PATH descriptor of the socket `folder`/names…; no name in `names` may be a link.

    Raises FileNotFoundError while it is not there, and UntrustedSocket for a link, a file, a device, ….
    The descriptor means that very socket for ever, whatever happens to its name.
    """
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        for name in names[:-1]:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
            below = os.open(name, flags, dir_fd=directory)
            os.close(directory)
            directory = below
        return _open_checked(directory, names[-1])
    finally:
        os.close(directory)


def connect_path(descriptor: int) -> str:
    """Return the path by which this process connects to the socket of an O_PATH `descriptor`."""
    return f"/proc/self/fd/{descriptor}"


def answers(descriptor: int) -> bool:
    """Say whether somebody listens on the socket of an O_PATH `descriptor`. Does not block."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(connect_path(descriptor))
    # EAGAIN: it listens, and its queue is full.
    return result in (0, errno.EAGAIN)


def listen_at(folder: Path, name: str) -> socket.socket:
    """Return a socket that listens at `folder`/`name`, for root only. An old file of that name is replaced.

    The path may be longer than the 107 bytes of a socket's address.
    """
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path = Path(f"/proc/self/fd/{directory}/{name}")
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(directory)
    return listener


def _open_checked(directory: int, name: str) -> int:
    descriptor = os.open(name, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise UntrustedSocket(errno.ENOTSOCK, "the guest agent's socket was replaced by something else")
