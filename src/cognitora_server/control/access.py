"""Finds the container that a request means, if commands and files can get into it."""

from __future__ import annotations

from cognitora_server.domain.errors import Conflict, NotFound
from cognitora_server.settings import Settings
from cognitora_server.store import Store

from .live import Live, LiveContainers


async def usable_container(
    store: Store, live_ones: LiveContainers, account_id: str, container_id: str, settings: Settings
) -> Live:
    """Return a container of this account that has not ended; it may still be starting.

    Raises NotFound, and Conflict with why it ended.
    """
    live = live_ones.get(container_id)
    if live is not None and live.container.account_id == account_id and _open(live):
        return live
    container = await store.containers.get(container_id, account_id)
    if container is None:
        raise missing(f"container {container_id!r}", settings)
    why = container.end.message if container.end and container.end.message else "Create another one."
    raise Conflict(f"The container has ended ({container.status}): nothing can be done in it. {why}")


def missing(what: str, settings: Settings) -> NotFound:
    """Return the error that says that there is no such thing, or not any more."""
    return NotFound(
        f"There is no {what} in this account. What has ended is kept for at most {settings.history_days} days."
    )


def _open(live: Live) -> bool:
    return live.end is None and not live.end_wanted.is_set()


def why_ended(live: Live) -> str:
    """Say why a container has ended, or is about to."""
    end = live.end or live.container.wanted_end
    return f"{end.status}: {end.message or end.reason}" if end else "It was asked to end."
