"""Chooses the driver that holds a container."""

from __future__ import annotations

from collections.abc import Sequence

from cognitora_server.domain.containers import ISOLATION_BY_STRENGTH, Isolation
from cognitora_server.domain.errors import IsolationUnavailable
from cognitora_server.drivers.base import Driver, Probe


class Drivers:
    """The drivers that work on this host, and the operator's minimum."""

    def __init__(self, probed: Sequence[tuple[Driver, Probe]], default: str, minimum: str) -> None:
        self.probes = tuple(probe for _, probe in probed)
        self._all = [driver for driver, _ in probed]
        self._available = {probe.isolation: driver for driver, probe in probed if probe.available}
        self._default = default
        self._allowed = ISOLATION_BY_STRENGTH[: ISOLATION_BY_STRENGTH.index(Isolation(minimum)) + 1]

    def all(self) -> list[Driver]:
        """Return all drivers: also of those that do not work now something may be left on the host."""
        return self._all

    def available(self) -> list[Driver]:
        """Return the drivers that work here."""
        return list(self._available.values())

    def of(self, isolation: Isolation | None) -> Driver:
        """Return the driver of an isolation, whatever the minimum. Raises IsolationUnavailable."""
        if isolation is None or isolation not in self._available:
            raise IsolationUnavailable(
                f"This host cannot give {isolation} isolation now; 'cognitora doctor' shows what it can "
                "give, and what is missing."
            )
        return self._available[isolation]

    def choose(self, requested: str) -> Driver:
        """Return the driver for a request: the strongest for `auto`. Raises IsolationUnavailable; never weakens."""
        wanted = self._default if requested == "auto" else requested
        if wanted == "auto":
            return self._strongest()
        isolation = Isolation(wanted)
        if isolation not in self._allowed:
            raise IsolationUnavailable(
                f"Isolation {wanted!r} is weaker than this server's minimum, {self._allowed[-1].value!r}. Ask for "
                "'auto', or have the operator lower minimum_isolation.",
                minimum=self._allowed[-1].value,
            )
        return self.of(isolation)

    def _strongest(self) -> Driver:
        for isolation in self._allowed:
            if isolation in self._available:
                return self._available[isolation]
        raise IsolationUnavailable(
            f"This host cannot give the minimum isolation, {self._allowed[-1].value!r}. 'cognitora doctor' says what "
            'is missing. For trusted code only, the operator can set minimum_isolation = "container".'
        )
