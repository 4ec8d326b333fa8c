"""What this machine holds, kept in memory as long as the storage does not change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from cognitora_server.domain.images import Image, ImageError, ImageReference, Origin
from cognitora_server.host.images.config import ImageRecord, read_record
from cognitora_server.host.images.podman import Podman
from cognitora_server.host.images.recipes import LABEL_LOCAL
from cognitora_server.host.images.storage import Stamp, Storage

_INSPECT_BATCH = 64
_LOCAL_PREFIX = "localhost/"


class Catalog:
    """Images by name and by id. A lookup costs one stat as long as nothing changed, else a podman or two."""

    def __init__(self, podman: Podman) -> None:
        self._podman = podman
        self._refreshing = asyncio.Lock()
        self._storage: Storage | None = None
        self._stamp: Stamp | None = None
        self._records: dict[str, ImageRecord] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._ids: dict[str, str] = {}

    async def storage(self) -> Storage:
        """Where the images lie; asked once."""
        if self._storage is None:
            self._storage = await Storage.find(self._podman)
        return self._storage

    async def find(self, reference: ImageReference) -> Image | None:
        """The image that the reference means here, seen under the name that matched."""
        await self._refresh()
        for name in reference.candidates:
            if name in self._ids:
                return self._image(self._ids[name], seen_as=name)
        return None

    async def find_by_id(self, prefix: str) -> Image | None:
        """The one image whose id starts with `prefix`; None if there is none, or several."""
        await self._refresh()
        found = [image_id for image_id in self._records if image_id.startswith(prefix)]
        return self._image(found[0]) if len(found) == 1 else None

    async def all(self) -> list[Image]:
        """All images, the newest first."""
        await self._refresh()
        images = [self._image(image_id) for image_id in self._records]
        return sorted(images, key=lambda image: image.created_at, reverse=True)

    async def record(self, image_id: str) -> ImageRecord | None:
        """What is known of an image id."""
        await self._refresh()
        return self._records.get(image_id)

    def forget(self) -> None:
        """Read everything again at the next lookup."""
        self._stamp = None
        self._records = {}

    async def _refresh(self) -> None:
        storage = await self.storage()
        if self._stamp is not None and storage.stamp() == self._stamp:
            return
        async with self._refreshing:
            stamp = storage.stamp()
            if self._stamp is not None and stamp == self._stamp:
                return
            # The stamp is taken before the list: a change in between is seen by the next lookup.
            await self._read_all()
            self._stamp = stamp

    async def _read_all(self) -> None:
        listed = await self._podman.json("images", "--no-trunc", "--format", "json") or []
        names = {entry["Id"]: _names(entry) for entry in listed}
        kept = {image_id: record for image_id, record in self._records.items() if image_id in names}
        missing = [image_id for image_id in names if image_id not in kept]
        for start in range(0, len(missing), _INSPECT_BATCH):
            for record in await self._inspect(missing[start : start + _INSPECT_BATCH]):
                kept[record.id] = record
        self._records = kept
        self._names = names
        self._ids = {
            name: entry["Id"]
            for entry in listed
            if entry["Id"] in kept
            for name in (*names[entry["Id"]], *(entry.get("RepoDigests") or ()))
        }

    async def _inspect(self, ids: list[str]) -> Iterable[ImageRecord]:
        try:
            raw: list[dict[str, Any]] = await self._podman.json("image", "inspect", *ids)
        except ImageError:
            # One of them went away meanwhile, or is damaged: the others are still good.
            if len(ids) == 1:
                return []
            return [record for each in ids for record in await self._inspect([each])]
        return [read_record(entry) for entry in raw]

    def _image(self, image_id: str, seen_as: str | None = None) -> Image:
        record, names = self._records[image_id], self._names[image_id]
        return Image(
            id=record.id,
            digest=record.digest,
            names=names,
            config=record.config,
            size_bytes=record.size_bytes,
            created_at=record.created_at,
            origin=_origin(record, (seen_as,) if seen_as else names),
        )


def _names(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in entry.get("Names") or () if not name.startswith("<none>"))


def _origin(record: ImageRecord, names: tuple[str, ...]) -> Origin:
    elsewhere = any(not name.startswith(_LOCAL_PREFIX) for name in names)
    if record.config.labels.get(LABEL_LOCAL) == "true":
        return "stand-in" if elsewhere else "local"
    return "registry" if elsewhere else "local"
