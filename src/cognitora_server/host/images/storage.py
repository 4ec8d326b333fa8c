"""What we read of containers/storage directly: where it lies, whether it changed, which layers it holds."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cognitora_server.domain.images import ImageError, ImageInvalid
from cognitora_server.host.images.podman import Podman, run

Stamp = tuple[int, int, int]
"""Changes whenever the list of images or of their names does: time, size and inode of its file."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, as the storage lists it."""

    id: str
    parent: str
    blob: str
    """The digest of the compressed layer that was pulled; empty for a layer built here."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Storage:
    """One containers/storage. All methods are quick reads of its own files."""

    graph_root: Path
    run_root: Path
    driver: str
    other_roots: tuple[Path, ...] = ()
    """Read-only image stores that this one builds on."""

    @classmethod
    async def find(cls, podman: Podman) -> Storage:
        """Ask podman where its storage lies."""
        store = (await podman.json("info", "--format", "json"))["store"]
        shared = str((store.get("graphOptions") or {}).get("overlay.imagestore", ""))
        others = tuple(Path(path) for path in shared.split(",") if path)
        return cls(Path(store["graphRoot"]), Path(store["runRoot"]), store["graphDriverName"], others)

    def stamp(self) -> Stamp | None:
        """What to compare to see whether the images changed; None before the first image."""
        try:
            found = (self.graph_root / f"{self.driver}-images" / "images.json").stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def free_bytes(self) -> int:
        """Free space on the disk that holds the layers."""
        return free_bytes(self.graph_root)

    def check_layers(self, layers: Iterable[Path]) -> list[Path]:
        """The layers' directories, each a real directory inside the storage; `ImageInvalid` otherwise.

        Raises `ImageError` for a storage driver whose layers cannot be mounted as an overlay.
        """
        if self.driver != "overlay":
            raise ImageError(
                f"containers/storage uses the driver {self.driver!r}; image layers can only be shared with "
                "sandboxes from the driver 'overlay' (set it in /etc/containers/storage.conf)."
            )
        checked = [self._check_layer(path) for path in layers]
        if not checked:
            raise ImageInvalid("The image has no layers.")
        return checked

    def layers(self) -> list[Layer]:
        """All layers, of images, containers and what was left behind."""
        return [
            Layer(
                entry["id"],
                entry.get("parent", ""),
                entry.get("compressed-diff-digest", ""),
                int(entry.get("diff-size", 0)),
            )
            for entry in self._entries("layers")
        ]

    def image_bytes(self) -> int:
        """What all images take, unpacked; layers that they share count once."""
        layers = {layer.id: layer for layer in self.layers()}
        return sum(layers[each].size_bytes for each in self._used(layers, self._image_tops()))

    def leftovers(self, blobs: Collection[str]) -> list[str]:
        """Ids of layers pulled from `blobs` that belong to no image and no container, topmost first."""
        layers = {layer.id: layer for layer in self.layers()}
        containers = (container.get("layer", "") for container in self._entries("containers"))
        used = self._used(layers, (*self._image_tops(), *containers))
        unused = [layer for layer in layers.values() if layer.id not in used]
        # A layer is listed after its parent.
        return [layer.id for layer in reversed(unused) if layer.blob and layer.blob in blobs]

    async def delete_layers(self, ids: Iterable[str]) -> int:
        """Delete unused layers; returns how many went. The storage refuses those in use.

        Does nothing where the `containers-storage` command is missing: the next pull then uses them.
        """
        deleted = 0
        options = ("-g", str(self.graph_root), "-R", str(self.run_root), "-s", self.driver)
        for layer in ids:
            try:
                done = await run(["containers-storage", *options, "delete-layer", layer], timeout=120)
            except ImageError:
                return 0
            deleted += done.returncode == 0
        return deleted

    def _used(self, layers: Mapping[str, Layer], tops: Iterable[str]) -> set[str]:
        used: set[str] = set()
        for top in tops:
            layer = layers.get(top)
            while layer and layer.id not in used:
                used.add(layer.id)
                layer = layers.get(layer.parent)
        return used

    def _image_tops(self) -> Iterable[str]:
        for image in self._entries("images"):
            yield image.get("layer", "")
            yield from image.get("mapped-layers") or ()

    def _entries(self, kind: str) -> list[dict[str, Any]]:
        path = self.graph_root / f"{self.driver}-{kind}" / f"{kind}.json"
        try:
            entries: list[dict[str, Any]] = json.loads(path.read_bytes() or b"[]")
        except (FileNotFoundError, json.JSONDecodeError):
            return []
        return entries

    def _check_layer(self, path: Path) -> Path:
        roots = [root / self.driver for root in (self.graph_root, *self.other_roots)]
        real = Path(os.path.realpath(path))
        inside = any(real.is_relative_to(os.path.realpath(root)) for root in roots)
        try:
            is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
        except OSError:
            is_directory = False
        if not inside or not is_directory:
            raise ImageInvalid(f"The image's layer {str(path)!a} is not a directory of the image storage.")
        return real


def free_bytes(path: Path) -> int:
    """Bytes that may still be written on the disk of `path`, or of its nearest existing parent."""
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
