"""Measuring several ways of doing the same, turn by turn, so that what else the machine does hits all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

_PAUSE_SECONDS = 0.3


class Stopwatch:
    """Measures what is done in `with stopwatch:`; everything else of a round does not count."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - begin


@dataclass(frozen=True, slots=True)
class Comparison:
    """This one's median, over the median of the contender `against`, shall be at most `target`."""

    against: str
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of doing it. `run` prepares, measures with the stopwatch, and clears away."""

    name: str
    run: Callable[[Stopwatch], None]
    comparisons: tuple[Comparison, ...] = ()
    #: One that fails while warming up is left out with a line that says why; others end the benchmark.
    optional: bool = False


@dataclass(slots=True)
class Result:
    """What was measured of one contender."""

    name: str
    comparisons: tuple[Comparison, ...]
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def measure(
    contenders: Sequence[Contender], rounds: int, warm_up: int = 1, pause: float = _PAUSE_SECONDS
) -> tuple[list[Result], list[str]]:
    """Run all in turn, `rounds` times; return the results, and a line for each contender that was left out."""
    left, skipped = [], []
    for contender in contenders:
        problem = _warmed_up(contender, warm_up, pause)
        if problem is None:
            left.append(contender)
        else:
            skipped.append(f"{contender.name}: left out: {problem}")
    results = {contender.name: Result(contender.name, contender.comparisons) for contender in left}
    with Console(stderr=True).status("") as status:
        for number in range(1, rounds + 1):
            for contender in left:
                status.update(f"round {number} of {rounds}: {contender.name}")
                results[contender.name].seconds.append(_once(contender, pause))
    return list(results.values()), skipped


def _warmed_up(contender: Contender, times: int, pause: float) -> str | None:
    try:
        for _ in range(times):
            _once(contender, pause)
    except Exception as error:
        if not contender.optional:
            raise
        return " ".join(str(error).split())[-300:]
    return None


def _once(contender: Contender, pause: float) -> float:
    stopwatch = Stopwatch()
    contender.run(stopwatch)
    # What goes on in the background after one turn (clearing away, preparing the next disk) must not slow the next.
    time.sleep(pause)
    return stopwatch.seconds
