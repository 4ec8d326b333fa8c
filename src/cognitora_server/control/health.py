"""Whether the server can do its work."""

from __future__ import annotations

import asyncio

from cognitora_server.domain.errors import IsolationUnavailable
from cognitora_server.store import Store

from .isolation import Drivers
from .reconciler import Reconciler


class Health:
    """Tells what stands in the way of running containers."""

    def __init__(self, store: Store, drivers: Drivers, reconciler: Reconciler) -> None:
        self._store = store
        self._drivers = drivers
        self._reconciler = reconciler

    async def ready(self) -> list[str]:
        """Return the problems, each a sentence; none means containers can be run."""
        problems = []
        try:
            self._drivers.choose("auto")
        except IsolationUnavailable as error:
            problems.append(error.message)
        try:
            async with asyncio.timeout(5):
                await self._store.keys.authenticate("")
        except Exception as error:
            problems.append(f"The database does not answer: {type(error).__name__}.")
        if (trouble := self._reconciler.trouble()) is not None:
            problems.append(trouble)
        return problems
