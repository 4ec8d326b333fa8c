"""Images from files: what `docker save` and `podman save` wrote, OCI archives, and plain root file systems."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import lzma
import re
import tarfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Literal, cast

from cognitora_server.domain.images import ImageError, ImageInvalid, ImageReference
from cognitora_server.host.images.podman import Completed, last_line

ArchiveKind = Literal["image", "rootfs"]

_PEEK_BYTES = 4 * 1024 * 1024
_PEEK_MEMBERS = 64
_IMAGE_MEMBER = re.compile(
    r"(blobs|oci-layout|index\.json|manifest\.json|repositories)(/|$)|[0-9a-f]{64}(\.tar|\.json|/|$)"
)
_LOADED = re.compile(r"^Loaded image(?:s|\(s\))?: (.+)$", re.MULTILINE)
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


async def archive_kind(path: Path) -> ArchiveKind:
    """Tell an image archive from a root file system by its first members; `ImageInvalid` if it is neither."""
    try:
        return await asyncio.to_thread(_kind, path)
    except OSError as error:
        raise ImageError(f"{str(path)!a} cannot be read: {error.strerror or error}.") from error


def import_command(path: Path, kind: ArchiveKind, name: ImageReference | None) -> list[str]:
    """The podman command that brings the archive into the storage."""
    if kind == "image":
        return ["load", "--input", str(path)]
    return ["import", "--quiet", "--change", 'CMD ["/bin/sh"]', str(path), *([str(name)] if name else [])]


def imported_name(done: Completed, path: Path) -> str:
    """Name or id of what podman brought in; `ImageInvalid` with its reason if it did not."""
    if done.returncode != 0:
        raise ImageInvalid(f"{str(path)!a} could not be imported: {_reason(done.stderr)}")
    loaded = _LOADED.findall(done.stdout)
    return str(loaded[-1] if loaded else done.stdout.strip().splitlines()[-1]).split(",")[-1].strip()


def _reason(stderr: str) -> str:
    # After "payload does not match any of the supported image formats" podman lists each format's complaint.
    lines = [line.strip(" *") for line in stderr.splitlines() if line.strip()]
    named = [line for line in lines if "archive" in line]
    return last_line(named[0] if named else stderr)


def _kind(path: Path) -> ArchiveKind:
    names = _first_names(path)
    if not names:
        raise ImageInvalid(f"{str(path)!a} is not a tar archive.")
    return "image" if any(_IMAGE_MEMBER.match(name.removeprefix("./")) for name in names) else "rootfs"


def _first_names(path: Path) -> list[str]:
    """Names at the beginning of an archive. Reads and unpacks a few megabytes, however large it is."""
    with _opened(path) as file:
        head = BytesIO()
        # What a broken or cut compressed stream still gave is good enough to look at.
        with suppress(EOFError, lzma.LZMAError, gzip.BadGzipFile):
            head.write(file.read(_PEEK_BYTES))
    head.seek(0)
    names: list[str] = []
    with suppress(tarfile.TarError, EOFError, ValueError), tarfile.open(fileobj=head, mode="r:") as archive:
        while len(names) < _PEEK_MEMBERS and (member := archive.next()):
            names.append(member.name)
    return names


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(path))
    if magic.startswith(b"BZh"):
        return bz2.open(path)
    if magic == b"\xfd7zXZ\0":
        return lzma.open(path)
    if magic.startswith(_ZSTD_MAGIC):
        raise ImageInvalid(f"{str(path)!a} is compressed with zstd; unpack it first ('zstd -d').")
    return path.open("rb")
