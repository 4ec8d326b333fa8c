"""An image's root file system: all its layers as one read-only overlay, mounted once for all its sandboxes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cognitora_server.domain.images import Image
from cognitora_server.host.images.mountpoints import Mountpoints
from cognitora_server.host.images.settings import ImageSettings
from cognitora_server.host.images.store import ImageStore
from cognitora_server.host.mounts import MountFlag, MountPoint, mount_overlay, mounts, unmount

OVERLAY_OPTIONS = "redirect_dir=nofollow,metacopy=off,index=off"
"""Attributes in a stranger's layer must not make the overlay look elsewhere; `userxattr` stays off."""

_FLAGS = MountFlag.RDONLY | MountFlag.NODEV | MountFlag.NOSUID | MountFlag.NOATIME


@dataclass(frozen=True, slots=True)
class _Mounted:
    target: Path
    device: int
    layers: tuple[Path, ...]
    top_layer: Path
    """The image's own; it goes when the image is removed behind our back."""
    identity: str
    """Of the top layer: an image that was removed and fetched again has another, perhaps at the same place."""


class Rootfs:
    """The mounted images of this machine. The kernel's list of mounts is the only state: it survives us."""

    def __init__(self, settings: ImageSettings, store: ImageStore) -> None:
        self._root = settings.data_dir / "rootfs"
        self._extras = settings.data_dir / "rootfs-extra"
        self._store = store
        self._locks: dict[str, asyncio.Lock] = {}
        self._known: dict[str, _Mounted] = {}

    async def mounted(self, image: Image) -> Path:
        """Where the image is mounted (read-only, nodev, nosuid, noatime); mounts it first if need be.

        Besides the image's own files it has real directories `/proc /dev /sys /tmp /run /etc /.cognitora`,
        files `/etc/hosts /etc/hostname /etc/resolv.conf` and the image's volumes, so that a driver can mount
        onto them. Idempotent; costs two stats when mounted. Raises `ImageNotFound` and `ImageInvalid`.
        """
        known = self._known.get(image.id)
        if known and _still_there(known):
            return known.target
        async with self._locks.setdefault(image.id, asyncio.Lock()):
            layers = await self._store.layer_paths(image.id)
            known = await asyncio.to_thread(self._mount, image, layers)
        self._known[image.id] = known
        return known.target

    async def layers(self, image: Image) -> list[Path]:
        """The directories of a writable overlay over this image, top first, ours included.

        For `host.mounts.mount_overlay` with an upper directory and `OVERLAY_OPTIONS`.
        """
        await self.mounted(image)
        return list(self._known[image.id].layers)

    async def unmount_unused(self, in_use: Collection[str]) -> list[str]:
        """Unmount all images but those `in_use` (image ids); returns the ids. Sandboxes keep what they use."""
        return await asyncio.to_thread(self._unmount_unused, frozenset(in_use))

    def _mount(self, image: Image, layers: Sequence[Path]) -> _Mounted:
        target = self._root / image.id
        extra = Mountpoints(self._extras / image.id, image.config.volumes)
        present = [point for point in mounts(self._root) if point.target == target]
        with suppress(OSError):
            everything = extra.around(layers)
            if present and present[-1].source == _source(image.id, everything):
                return _Mounted(target, target.stat().st_dev, tuple(everything), layers[0], _identity(layers[0]))
        self._discard(target, present)
        target.mkdir(parents=True, exist_ok=True)
        everything = extra.make(layers, lambda tried: self._mount_at(target, image.id, tried))
        return _Mounted(target, target.stat().st_dev, tuple(everything), layers[0], _identity(layers[0]))

    def _mount_at(self, target: Path, image_id: str, layers: Sequence[Path]) -> Path:
        unmount(target)
        mount_overlay(target, layers, source=_source(image_id, layers), flags=_FLAGS, options=OVERLAY_OPTIONS)
        return target

    def _unmount_unused(self, in_use: frozenset[str]) -> list[str]:
        unused = [point for point in mounts(self._root) if point.target.name not in in_use]
        for point in unused:
            self._known.pop(point.target.name, None)
            self._discard(point.target, [point])
        names = {point.target.name for point in unused}
        self._sweep(in_use)
        return sorted(names)

    def _discard(self, target: Path, present: Sequence[MountPoint]) -> None:
        for _ in present:
            unmount(target)
        with suppress(OSError):
            target.rmdir()

    def _sweep(self, in_use: frozenset[str]) -> None:
        """Remove what belongs to no mounted image: mount points of a machine that was restarted, for one."""
        for folder in (self._root, self._extras):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.name in in_use:
                    continue
                with suppress(OSError):
                    path.rmdir() if folder == self._root else shutil.rmtree(path)


def _source(image_id: str, layers: Sequence[Path]) -> str:
    """The mount's source as the kernel lists it: tells later whether these very directories are mounted."""
    text = "".join(f"{path}:{_identity(path)};" for path in layers)
    return f"cognitora:{image_id[:12]}:{hashlib.sha256(os.fsencode(text)).hexdigest()[:24]}"


def _identity(path: Path) -> str:
    found = path.lstat()
    # Inode numbers are used again; nothing touches a layer's own directory after it was unpacked.
    return f"{found.st_dev}:{found.st_ino}:{found.st_ctime_ns}"


def _still_there(known: _Mounted) -> bool:
    # Every overlay has a device number of its own: the same one at the target is the same mount.
    try:
        return known.target.stat().st_dev == known.device and _identity(known.top_layer) == known.identity
    except OSError:
        return False
