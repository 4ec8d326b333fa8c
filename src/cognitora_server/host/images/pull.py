"""Pulling an image: once for all who wait for it, watched, and without leftovers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace

from cognitora_server.domain.images import ImageReference
from cognitora_server.host.images.catalog import Catalog
from cognitora_server.host.images.failures import pull_failure, timed_out
from cognitora_server.host.images.guard import WriteGuard
from cognitora_server.host.images.podman import Podman
from cognitora_server.host.images.progress import ProgressListener, PullPhase, PullProgress
from cognitora_server.host.images.scratch import scratch_directory
from cognitora_server.host.images.settings import ImageSettings
from cognitora_server.host.images.storage import Storage


class Puller:
    """Pulls images from registries."""

    def __init__(self, settings: ImageSettings, podman: Podman, catalog: Catalog) -> None:
        self._settings = settings
        self._podman = podman
        self._catalog = catalog
        self._pulls: dict[str, _SharedPull] = {}
        self._leftover_blobs: set[str] = set()
        self._cleaning = asyncio.Lock()
        #: Told of each pull that has ended: whether it succeeded, and the seconds it took.
        self.on_end: Callable[[bool, float], None] = lambda succeeded, seconds: None

    async def pull(self, reference: ImageReference, on_progress: ProgressListener | None = None) -> None:
        """Pull, or join the pull that is under way. When the last who waits is cancelled, the pull ends."""
        key = str(reference)
        while (shared := self._pulls.get(key)) and shared.abandoned and shared.task:
            await asyncio.wait([shared.task])
        if shared is None:
            shared = self._pulls[key] = _SharedPull()
            shared.task = asyncio.create_task(self._pull(reference, shared), name=f"pull {key}")
        await shared.wait(on_progress)

    async def _pull(self, reference: ImageReference, shared: _SharedPull) -> None:
        storage = await self._catalog.storage()
        begun = time.monotonic()
        try:
            async with self._cleaning:
                pass  # What is just being removed must not be built upon.
            # Who looked for it before another's pull had ended comes here after that.
            if await self._catalog.find(reference) is None:
                await self._run(reference, storage, shared)
            self.on_end(True, time.monotonic() - begun)
        except BaseException as error:
            self._leftover_blobs |= shared.blobs
            if isinstance(error, Exception):
                self.on_end(False, time.monotonic() - begun)
            raise
        finally:
            del self._pulls[str(reference)]
            await asyncio.shield(self._clean(storage))
        shared.tell("done")

    async def discard(self, blobs: Collection[str]) -> None:
        """Remove the finished layers of something that failed, unless images need them; now, or after all pulls."""
        self._leftover_blobs |= set(blobs)
        await asyncio.shield(self._clean(await self._catalog.storage()))

    async def _run(self, reference: ImageReference, storage: Storage, shared: _SharedPull) -> None:
        with scratch_directory(self._settings, "pull") as scratch:
            guard = WriteGuard(
                self._settings, storage, scratch, str(reference), lambda received: shared.measure(storage, received)
            )
            guard.check_disk()
            try:
                done = await self._podman.run(
                    *("pull", *self._podman.registry_options(), str(reference)),
                    timeout=self._settings.pull_timeout_seconds,
                    environment={"TMPDIR": str(scratch)},
                    on_error_line=shared.hear,
                    watch=guard,
                )
            except TimeoutError as error:
                raise timed_out(reference, self._settings.pull_timeout_seconds) from error
        if done.returncode != 0:
            raise pull_failure(reference, done.stderr)

    async def _clean(self, storage: Storage) -> None:
        """Remove the layers that failed pulls had finished. Not while others pull: they may build on them."""
        if self._pulls or not self._leftover_blobs:
            return
        blobs, self._leftover_blobs = self._leftover_blobs, set()
        async with self._cleaning:
            # Any command makes the storage drop the layers that were cut short.
            await self._podman.run("images", "--quiet")
            await storage.delete_layers(storage.leftovers(blobs))


class _SharedPull:
    """One pull, all who wait for it, and how far it is."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.blobs: set[str] = set()
        self.abandoned = False
        """All who waited have left: it is ending, and nobody may join it."""
        self._progress = PullProgress("connecting")
        self._listeners: list[ProgressListener] = []
        self._waiting = 0

    async def wait(self, on_progress: ProgressListener | None) -> None:
        """Wait for the end of the pull; its error is everyone's error."""
        assert self.task is not None
        self._waiting += 1
        if on_progress:
            self._listeners.append(on_progress)
            on_progress(self._progress)
        try:
            await asyncio.shield(self.task)
        except asyncio.CancelledError:
            if self._waiting == 1:
                self.abandoned = True
                await _cancel(self.task)
            raise
        finally:
            self._waiting -= 1
            if on_progress:
                self._listeners.remove(on_progress)

    def hear(self, line: str) -> None:
        """One line of podman's: it names each layer when it begins with it."""
        if blob := blob_begun(line):
            self.blobs.add(blob)
            self._update(phase="downloading", layers_total=len(self.blobs))
        elif line.startswith("Copying config"):
            self._update(phase="unpacking")

    def measure(self, storage: Storage, received: int) -> None:
        """Look how far the download and the storage are."""
        if not self._listeners:
            return
        done = sum(blob in self.blobs for blob in {layer.blob for layer in storage.layers()})
        self._update(
            layers_done=max(done, self._progress.layers_done),
            bytes_done=max(received, self._progress.bytes_done),
        )

    def tell(self, phase: PullPhase) -> None:
        """The pull enters a phase; at the end every layer is there."""
        done = self._progress.layers_total if phase == "done" else self._progress.layers_done
        self._update(phase=phase, layers_done=done)

    def _update(self, **changes: object) -> None:
        progress = replace(self._progress, **changes)  # type: ignore[arg-type]
        if progress != self._progress:
            self._progress = progress
            for listener in list(self._listeners):
                listener(progress)


def blob_begun(line: str) -> str | None:
    """The digest of the layer that podman says it begins with; None for any other line."""
    words = line.split()
    return words[2] if words[:2] == ["Copying", "blob"] and len(words) > 2 else None


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
