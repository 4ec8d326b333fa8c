"""The images of this machine: found, fetched, imported and removed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cognitora_server.domain.images import (
    Image,
    ImageError,
    ImageInUse,
    ImageNotFound,
    ImagePullFailed,
    ImageReference,
    InvalidImageReference,
)
from cognitora_server.host.images.archives import archive_kind, import_command, imported_name
from cognitora_server.host.images.catalog import Catalog
from cognitora_server.host.images.guard import WriteGuard, too_large
from cognitora_server.host.images.podman import Completed, Podman, last_line
from cognitora_server.host.images.progress import ProgressListener
from cognitora_server.host.images.pull import Puller, blob_begun
from cognitora_server.host.images.scratch import scratch_directory, sweep
from cognitora_server.host.images.settings import ImageSettings

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})")


@dataclass(frozen=True, slots=True)
class ImageDiskUsage:
    """What images take, in bytes."""

    images: int
    image_bytes: int
    """Unpacked; layers that images share count once."""
    free_bytes: int
    """Free on the disk that holds them."""


class ImageStore:
    """The images of one containers/storage. Methods may be called at the same time."""

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings
        self._podman = Podman(settings)
        self._catalog = Catalog(self._podman)
        self._puller = Puller(settings, self._podman, self._catalog)

    def watch_pulls(self, on_end: Callable[[bool, float], None]) -> None:
        """Have `on_end` told of each pull: whether it succeeded, and the seconds it took."""
        self._puller.on_end = on_end

    async def start(self) -> None:
        """Clean up after a process that was killed, and read the list of images once. Idempotent."""
        await asyncio.to_thread(sweep, self._settings)
        await self._catalog.all()

    async def ensure(self, reference: ImageReference, on_progress: ProgressListener | None = None) -> Image:
        """The image, pulled if this machine lacks it; about 20 µs when it is here.

        Everyone who waits for the same image shares one pull; a waiter that is cancelled leaves the others
        alone. Raises an `ImageError` that says which registry failed, why, and what to do.
        """
        image = await self._catalog.find(reference)
        if image is not None:
            return image
        if reference.is_local:
            raise ImageNotFound(
                f"There is no image {reference} on this machine. Build it with "
                f"'podman build -t {reference.repository} .' as root, or import it."
            )
        await self._puller.pull(reference, on_progress)
        image = await self._catalog.find(reference)
        if image is None:
            raise ImagePullFailed(f"{reference} was pulled, but is not in the image storage.")
        return await self._within_limit(image, str(reference))

    async def get(self, reference: ImageReference) -> Image | None:
        """The image if this machine has it; None otherwise. Never asks a registry."""
        return await self._catalog.find(reference)

    async def find(self, text: str) -> Image:
        """The image that a person means by a name or (the first 12 or more digits of) an id.

        Raises `ImageNotFound`, or `InvalidImageReference` for what is neither.
        """
        by_id = _ID.fullmatch(text)
        image = None
        try:
            image = await self._catalog.find(ImageReference.parse(text))
        except InvalidImageReference:
            if not by_id:
                raise
        if image is None and by_id:
            image = await self._catalog.find_by_id(by_id[1])
        if image is None:
            raise ImageNotFound(f"There is no image {text!a} on this machine.")
        return image

    async def list(self) -> Sequence[Image]:
        """All images with a name or without, the newest first."""
        return await self._catalog.all()

    async def layer_paths(self, image_id: str) -> Sequence[Path]:
        """The image's layers, top first: directories that are checked to lie inside the image storage.

        Raises `ImageNotFound` when the image is gone, `ImageInvalid` when a layer is not what it should be.
        """
        storage = await self._catalog.storage()
        record = await self._catalog.record(image_id)
        if record is not None and not all(path.is_dir() for path in record.layers):
            # Removed and pulled again between two looks: its layers lie elsewhere now.
            self._catalog.forget()
            record = await self._catalog.record(image_id)
        if record is None:
            raise ImageNotFound(f"The image {image_id[:12]} is not on this machine any more.")
        return storage.check_layers(record.layers)

    async def remove(self, text: str, in_use: Collection[str] = ()) -> None:
        """Remove a name; with the last name, or by id, the image. Removing what is gone succeeds.

        Raises `ImageInUse` when a container (of ours by `in_use`, image ids, or of podman's) needs the image.
        """
        try:
            image = await self.find(text)
        except ImageNotFound:
            return
        by_id = _ID.fullmatch(text) and image.id.startswith(text.removeprefix("sha256:"))
        if image.id in in_use and (by_id or len(image.names) <= 1):
            raise ImageInUse(f"{text} is used by a container; delete the container first.", image_id=image.id)
        if by_id:
            await self._remove(image.names or [image.id], text)
            return
        matching = [name for name in ImageReference.parse(text).candidates if name in image.names]
        await self._remove([matching[0] if matching else image.id], text)

    async def prune(self, in_use: Collection[str] = (), *, unnamed_only: bool = True) -> Sequence[Image]:
        """Remove the images without a name (or all), except those `in_use` (image ids); returns what went."""
        removed = []
        for image in await self.list():
            if image.id in in_use or (unnamed_only and image.names):
                continue
            with suppress(ImageInUse):
                await self._remove(image.names or [image.id], image.id[:12])
                removed.append(image)
        return removed

    async def disk_usage(self) -> ImageDiskUsage:
        """How much the images take."""
        storage = await self._catalog.storage()
        return ImageDiskUsage(
            images=len(await self.list()),
            image_bytes=await asyncio.to_thread(storage.image_bytes),
            free_bytes=storage.free_bytes(),
        )

    async def import_archive(self, path: Path, name: ImageReference | None = None) -> Image:
        """Bring in a file: a docker or OCI archive, or a plain tar of a root file system.

        An archive with several images gives the last of them; archives carry their images' names, and `name`
        is added to those. Raises `ImageInvalid` for what is not an image, `ImageTooLarge`, `ImagePullFailed`
        when the disk gets full.
        """
        done = await self._load(path, name)
        image = await self._within_limit(await self._imported(imported_name(done, path)), path.name)
        if name is None or str(name) in image.names:
            return image
        await self._podman.run("tag", image.id, str(name))
        return await self.find(image.id)

    async def _load(self, path: Path, name: ImageReference | None) -> Completed:
        kind = await archive_kind(path)
        storage = await self._catalog.storage()
        blobs: set[str] = set()
        with scratch_directory(self._settings, "import") as scratch:
            guard = WriteGuard(self._settings, storage, scratch, path.name)
            guard.check_disk()
            try:
                return await self._podman.run(
                    *import_command(path, kind, name),
                    timeout=self._settings.pull_timeout_seconds,
                    environment={"TMPDIR": str(scratch)},
                    on_error_line=lambda line: blobs.add(blob_begun(line) or ""),
                    watch=guard,
                )
            except TimeoutError as error:
                await self._puller.discard(blobs)
                raise ImageError(f"{path.name} was not imported in time.") from error
            except BaseException:
                await self._puller.discard(blobs)
                raise

    async def _imported(self, printed: str) -> Image:
        found = await self._podman.json("image", "inspect", printed.removeprefix("sha256:"))
        return await self.find(found[0]["Id"])

    async def _within_limit(self, image: Image, subject: str) -> Image:
        if image.size_bytes <= self._settings.image_max_bytes:
            return image
        with suppress(ImageInUse):
            await self._remove(image.names or [image.id], subject)
        raise too_large(subject, self._settings.image_max_bytes)

    async def _remove(self, targets: Sequence[str], text: str) -> None:
        done = await self._podman.run("rmi", *targets, timeout=300)
        if done.returncode == 0 or "image not known" in done.stderr:
            return
        if "in use by" in done.stderr or "used by" in done.stderr:
            raise ImageInUse(f"{text} is used by a container of podman; remove that first ('podman ps --all').")
        raise ImageError(f"{text} could not be removed: {last_line(done.stderr)}")
