"""Every metric of the server, in one place. `docs/operations.md` says what each is good for.

Labels have few values by construction: routes' templates, states, reasons. Nothing here names an account, a container
or an address.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cognitora_server import __version__
from cognitora_server.domain.containers import Container, ContainerStatus, End, Isolation
from cognitora_server.domain.executions import Execution

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_LAG_SECONDS = 0.25

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_START_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60)
_WAIT_BUCKETS = (0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 7200)
_RUN_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 7200, 86400)
_PULL_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
_STORE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Metrics:
    """The metrics of one server: a registry of its own, and a verb for each thing that happens."""

    def __init__(self) -> None:
        self.registry = made = CollectorRegistry()
        ProcessCollector(registry=made)
        Info("cognitora_build", "This server's version.", registry=made).info({"version": __version__})
        self._requests = Counter(
            "cognitora_requests", "Requests answered.", ["method", "route", "status"], registry=made
        )
        self._request_seconds = Histogram(
            "cognitora_request_seconds",
            "From a request's head to its answer's end.",
            ["method", "route"],
            buckets=_REQUEST_BUCKETS,
            registry=made,
        )
        self._queue_seconds = Histogram(
            "cognitora_queue_wait_seconds",
            "From a container's acceptance to the beginning of its start.",
            buckets=_WAIT_BUCKETS,
            registry=made,
        )
        self._start_seconds = Histogram(
            "cognitora_container_start_seconds",
            "Of starts that succeeded: from the image's presence to RUNNING.",
            ["isolation"],
            buckets=_START_BUCKETS,
            registry=made,
        )
        self._ends = Counter(
            "cognitora_container_ends", "Containers ended.", ["status", "reason", "isolation"], registry=made
        )
        self._credits = Counter("cognitora_credits", "Credits billed to containers that ended.", registry=made)
        self._executions = Counter("cognitora_executions", "Executions ended.", ["kind", "status"], registry=made)
        self._execution_seconds = Histogram(
            "cognitora_execution_seconds", "How long they ran.", ["kind"], buckets=_RUN_BUCKETS, registry=made
        )
        self._pulls = Counter("cognitora_image_pulls", "Pulls of images, ended.", ["outcome"], registry=made)
        self._pull_seconds = Histogram(
            "cognitora_image_pull_seconds", "How long they took.", buckets=_PULL_BUCKETS, registry=made
        )
        self._store_seconds = Histogram(
            "cognitora_database_seconds",
            "From the wish to read or write to its being done (a write: durable).",
            ["kind"],
            buckets=_STORE_BUCKETS,
            registry=made,
        )
        self._lag_seconds = Histogram(
            "cognitora_event_loop_lag_seconds",
            "How late the event loop comes to what is due.",
            buckets=_LAG_BUCKETS,
            registry=made,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer. `route` is a template, never an address."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._request_seconds.labels(known, route).observe(seconds)

    def queued(self, seconds: float) -> None:
        """Count a container whose start begins, having waited for so long."""
        self._queue_seconds.observe(max(0.0, seconds))

    def started(self, isolation: Isolation, seconds: float) -> None:
        """Count a container that runs."""
        self._start_seconds.labels(isolation.value).observe(seconds)

    def ended(self, container: Container, end: End, credits_billed: float) -> None:
        """Count a container that has ended."""
        self._ends.labels(end.status.value, end.reason.value, _isolation(container)).inc()
        self._credits.inc(credits_billed)

    def executed(self, execution: Execution, seconds: float) -> None:
        """Count an execution that has ended."""
        kind = "main" if execution.main else "exec"
        self._executions.labels(kind, execution.status.value).inc()
        self._execution_seconds.labels(kind).observe(seconds)

    def pulled(self, succeeded: bool, seconds: float) -> None:
        """Count a pull."""
        self._pulls.labels("succeeded" if succeeded else "failed").inc()
        self._pull_seconds.observe(seconds)

    def stored(self, writes: bool, seconds: float) -> None:
        """Count a piece of work of the database. From any thread."""
        self._store_seconds.labels("write" if writes else "read").observe(seconds)

    def watch(
        self, containers: Callable[[], Iterable[Container]], store_queue: Callable[[], int], data_dir: Path
    ) -> None:
        """Show what is the case whenever the metrics are read: `containers` returns those that have not ended."""
        self.registry.register(_Containers(containers))
        waiting = Gauge("cognitora_database_queue", "Work that waits for the database.", registry=self.registry)
        waiting.set_function(store_queue)
        free = Gauge("cognitora_disk_free_bytes", "Free on the data directory's disk.", registry=self.registry)
        free.set_function(lambda: shutil.disk_usage(data_dir).free)

    def audit(self, lost: Callable[[], int]) -> None:
        """Show how many audit entries were lost."""
        gauge = Gauge("cognitora_audit_entries_lost", "Audit entries that could not be kept.", registry=self.registry)
        gauge.set_function(lost)

    async def measure_lag(self) -> None:
        """Measure, until cancelled, how late the event loop is."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_SECONDS
            await asyncio.sleep(_LAG_SECONDS)
            self._lag_seconds.observe(max(0.0, loop.time() - due))

    def exposition(self) -> bytes:
        """Return all of it, in Prometheus' text format."""
        return generate_latest(self.registry)


class _Containers(Collector):
    def __init__(self, containers: Callable[[], Iterable[Container]]) -> None:
        self._containers = containers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        tally = Tally((one.status.value, _isolation(one)) for one in self._containers())
        family = GaugeMetricFamily(
            "cognitora_containers", "Containers that have not ended.", labels=["status", "isolation"]
        )
        for labels, count in sorted(tally.items()):
            family.add_metric(labels, count)
        yield family
        queued = sum(count for (status, _), count in tally.items() if status == ContainerStatus.QUEUED)
        yield GaugeMetricFamily("cognitora_queue_length", "Containers that wait for their start.", queued)


def _isolation(container: Container) -> str:
    return container.isolation.value if container.isolation is not None else "none"
