"""The queue: in order within an account, fair between accounts, nobody passed for ever, never more than there is."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.test_store import a_container

from cognitora_server.control.limits import HostCapacity
from cognitora_server.control.queue import MOST_OVERTAKINGS, Queue
from cognitora_server.domain.containers import Container
from cognitora_server.domain.resources import Resources
from cognitora_server.settings import load_settings


@dataclass
class Host:
    """A host of 10 cores, 1000 MiB and 8 places, and what started on it, in order."""

    queue: Queue = field(
        default_factory=lambda: Queue(
            HostCapacity(load_settings(host_cpu_cores=10, host_memory_mb=1000, cpu_overcommit=1, max_containers=8))
        )
    )
    started: list[Container] = field(default_factory=list)
    held: list[Container] = field(default_factory=list)
    waiting: list[tuple[Container, asyncio.Event]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, account: str, memory_mb: int = 100, cpu_cores: float = 1) -> Container:
        container = a_container(account, resources=Resources(cpu_cores, memory_mb, 1), sequence=next(self.numbers))
        self.waiting.append((container, self.queue.join(container)))
        self.note()
        return container

    def end(self, container: Container) -> None:
        self.queue.leave(container.id)
        self.held = [one for one in self.held if one is not container]
        self.waiting = [(one, turn) for one, turn in self.waiting if one is not container]
        self.note()

    def note(self) -> None:
        new = [container for container, turn in self.waiting if turn.is_set()]
        self.started += new
        self.held += new
        self.waiting = [(container, turn) for container, turn in self.waiting if not turn.is_set()]

    def position(self, container: Container) -> int | None:
        return self.queue.seen(container).queue_position


def test_the_largest_that_is_allowed_fits_an_empty_host() -> None:
    for most in (0.1, 0.57, 1.001, 2.003, 4.1):
        host = HostCapacity(load_settings(host_cpu_cores=most, host_memory_mb=100, cpu_overcommit=1))
        host.check(wanted := Resources(most, 100, 1))
        assert Queue(host).join(a_container("a", resources=wanted)).is_set(), most


def test_what_fits_starts_at_once_and_does_not_wait() -> None:
    host = Host()
    container = host.add("a", 1000)
    assert host.started == [container]
    assert host.queue.seen(container) == container


def test_within_an_account_the_first_to_come_is_the_first_to_start() -> None:
    host = Host()
    first = host.add("a", 900)
    large, small = host.add("a", 800), host.add("a", 100)
    assert host.started == [first]
    assert [host.position(one) for one in (large, small)] == [1, 2]
    host.end(first)
    assert host.started == [first, large, small]


def test_who_queues_many_does_not_make_another_wait_behind_them() -> None:
    host = Host()
    many = [host.add("a") for _ in range(100)]
    single = host.add("b")
    assert host.started == many[:8]
    assert host.position(single) == 1
    assert [host.position(one) for one in many[8:11]] == [2, 3, 4]
    host.end(many[3])
    assert host.started[-1] is single


def test_the_account_that_holds_least_goes_next_and_among_equals_the_oldest() -> None:
    host = Host()
    _, held_by_b, _, held_by_d = host.add("a", 300), host.add("b", 200), host.add("c", 300), host.add("d", 200)
    by_a, by_c, by_b, late_b = (host.add(account, 200) for account in "acbb")
    assert [host.position(one) for one in (by_b, by_a, by_c, late_b)] == [1, 2, 3, 4]
    host.end(held_by_d)
    assert host.started[-1] is by_b
    host.end(held_by_b)
    assert host.started[-1] is late_b
    host.end(by_b)
    assert host.started[-1] is by_a


def test_what_does_not_fit_is_overtaken_only_so_often() -> None:
    host = Host()
    running = host.add("a", 500)
    large = host.add("b", 600)
    for _ in range(MOST_OVERTAKINGS):
        small = host.add("c", 100)
        assert host.started[-1] is small
        host.end(small)
    kept_back = host.add("c", 100)
    assert host.started[-1] is not kept_back
    assert "others go first" in str(host.queue.seen(kept_back).progress)
    host.end(running)
    assert host.started[-2:] == [large, kept_back]


def test_an_account_that_holds_much_is_passed_only_so_often() -> None:
    host = Host()
    host.add("a", 900)
    passing = host.add("b", 100)
    patient = host.add("a", 100)
    for _ in range(MOST_OVERTAKINGS):
        following = host.add("b", 100)
        host.end(passing)
        assert host.started[-1] is following
        passing = following
    host.add("b", 100)
    host.end(passing)
    assert host.started[-1] is patient


def test_who_leaves_the_queue_makes_way() -> None:
    host = Host()
    host.add("a", 600)
    large, small = host.add("b", 500), host.add("b", 100)
    host.end(large)
    assert host.started[-1] is small
    assert host.position(large) is None
    host.end(large)


def test_why_it_waits_is_said() -> None:
    host = Host()
    host.add("a", 900, 9)
    memory, cpu = host.add("b", 200), host.add("c", 50, 1.5)
    assert host.queue.seen(memory).progress == (
        "Waiting for room on this host, number 1 in the queue: it asks for 200 MiB of memory, 100 MiB are free."
    )
    assert "asks for 1.5 CPU cores, 1 are free" in str(host.queue.seen(cpu).progress)
    places = Host()
    for _ in range(8):
        places.add("a", 64, 0.1)
    assert "all places for containers are taken" in str(places.queue.seen(places.add("b", 64, 0.1)).progress)


def test_what_runs_already_counts_though_there_is_no_room_for_it() -> None:
    host = Host()
    running = [a_container("a", resources=Resources(1, 600, 1)) for _ in range(2)]
    for container in running:
        host.queue.hold(container)
    assert host.queue.join(running[0]).is_set()
    waiting = host.add("b", 400)
    host.end(running[0])
    assert host.started == [waiting]


_DEMANDS = st.tuples(st.sampled_from("abc"), st.integers(64, 1000), st.sampled_from([0.1, 0.5, 1, 4, 10]))
_STEPS = st.lists(st.one_of(_DEMANDS, st.integers(0, 1000)), max_size=120)


@given(_STEPS)
@settings(max_examples=150, deadline=None)
def test_whatever_comes_and_goes(steps: list[tuple[str, int, float] | int]) -> None:
    host = Host()
    for step in steps:
        if isinstance(step, tuple):
            host.add(*step)
        else:
            alive = [*host.held, *(container for container, _ in host.waiting)]
            if alive:
                host.end(alive[step % len(alive)])
        _holds(host)
    cancelled = {container.id for container, _ in host.waiting}
    while host.held:
        host.end(host.held[0])
        _holds(host)
    assert host.waiting == []
    assert cancelled <= {container.id for container in host.started}


def _holds(host: Host) -> None:
    used = [container.resources for container in host.held]
    assert sum(one.memory_mb for one in used) <= 1000
    assert round(sum(one.cpu_cores for one in used), 6) <= 10
    assert len(used) <= 8
    for account in "abc":
        order = [container.sequence for container in host.started if container.account_id == account]
        assert order == sorted(order)
    positions = [host.position(container) for container, _ in host.waiting]
    assert sorted(filter(None, positions)) == list(range(1, len(positions) + 1))
    if host.waiting:
        next_one = next(container for container, _ in host.waiting if host.position(container) == 1)
        assert not _fits(host, next_one)


def _fits(host: Host, container: Container) -> bool:
    used, wanted = [one.resources for one in host.held], container.resources
    return (
        sum(one.memory_mb for one in used) + wanted.memory_mb <= 1000
        and round(sum(one.cpu_cores for one in used) + wanted.cpu_cores, 6) <= 10
        and len(used) < 8
    )
