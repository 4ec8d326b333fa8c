"""Lives of containers in any order: created, used, changed, killed, cancelled, while servers stop, crash and start.

The fake driver runs a real guest agent for each container; time is moved by hand. `ROBUSTNESS_LIVES=500` makes that
many random histories in place of the few that are always the same.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from cognitora_server.domain.containers import ContainerChange
from cognitora_server.domain.errors import Conflict, InvalidRequest

from .world import World

LIVES = int(os.environ.get("ROBUSTNESS_LIVES", "0"))

IMAGES = st.sampled_from(["localhost/silent"] * 3 + ["localhost/host"] * 3 + ["localhost/missing", "Not An Image"])
COMMANDS = st.sampled_from([None, ("true",), ("sh", "-c", "exit 3"), ("sleep", "600"), ("no-such-program",)])
SECONDS = st.sampled_from([None, 1, 60, 60, 3600, 3600, 1 << 40])
CREDITS = st.sampled_from([0.0001, 0.05, 100.0, 100.0, 1e308])
#: Which container, counted from the newest: what is drawn must not depend on what time has made of them.
WHICH = st.integers(0, 9)
PASSING = st.sampled_from([0.4, 5, 31, 61, 61, 301, 3601, 86_500])


class Lives(RuleBasedStateMachine):
    """One account, any number of containers, one server after another."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(prefix="lives-")
        self.world = World(Path(self.folder.name))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.run(self.world.open())
        self.run(self.world.create("localhost/silent", persistent=True))

    def teardown(self) -> None:
        try:
            self.run(self.world.close())
        finally:
            self.runner.close()
            self.folder.cleanup()

    # Rules

    @rule(
        timeout_seconds=st.sampled_from([60, 3600]), expires_in=st.sampled_from([None, 30, 600]), settled=st.booleans()
    )
    def create_a_usual_one(self, timeout_seconds: int, expires_in: int | None, settled: bool) -> None:
        self._create("localhost/silent", expires_in, settled, persistent=True, timeout_seconds=timeout_seconds)

    @rule(
        image=IMAGES,
        command=COMMANDS,
        persistent=st.booleans(),
        timeout_seconds=SECONDS,
        expires_in=st.sampled_from([None, None, -1, 30, 7200]),
        idle_timeout_seconds=st.sampled_from([None, None, 60]),
        max_cost_credits=CREDITS,
        settled=st.booleans(),
    )
    def create(self, image: str, expires_in: int | None, settled: bool, **fields: Any) -> None:
        self._create(image, expires_in, settled, **fields)

    def _create(self, image: str, expires_in: int | None, settled: bool, **fields: Any) -> None:
        if expires_in is not None:
            fields["expires_at"] = self.world.clock.now() + timedelta(seconds=expires_in)
        self.run(self.world.create(image, **fields))
        if settled:
            self.run(self.world.settle())

    @rule(
        which=WHICH,
        command=st.sampled_from([("echo", "hi"), ("sh", "-c", "exit 4"), ("absent",), ("sleep", "600")]),
    )
    def execute(self, which: int, command: tuple[str, ...]) -> None:
        timeout = 0.1 if command[0] == "sleep" else None
        self.run(self.world.execute(self._any(which), *command, timeout_seconds=timeout))

    @rule(which=WHICH)
    def begin_execution(self, which: int) -> None:
        self.run(self.world.begin_execution(self._living(which)))

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        container_id = self._any(which)
        control = self.world.control
        ended = self.run(control.containers.cancel(control.account, container_id))
        assert ended.status.final

    @rule(which=WHICH, seconds=st.sampled_from([1, 600, 1 << 40]), fixed=st.booleans())
    def change_deadline(self, which: int, seconds: int, fixed: bool) -> None:
        control, container_id = self.world.control, self._any(which)
        expires_at = self.world.clock.now() + timedelta(seconds=min(seconds, 1 << 30)) if fixed else None
        change = ContainerChange(None if fixed else seconds, expires_at)
        try:
            changed = self.run(control.containers.update(control.account, container_id, change))
        except (Conflict, InvalidRequest):
            return
        assert seconds != 1 << 40
        assert abs(changed.expires_at - self.world.clock.now() - timedelta(seconds=seconds)) < timedelta(seconds=1)

    @rule(seconds=PASSING)
    def pass_time(self, seconds: float) -> None:
        self.run(self.world.pass_time(seconds))
        self.run(self.world.look_at_all())
        for container_id in self.world.living():
            container = self.world.seen[container_id]
            if container.started_at is not None or container.expires_fixed:
                assert container.expires_at > self.world.clock.now()

    @rule(seconds=st.sampled_from([-7200, -1, 1, 7200]))
    def set_the_hosts_clock(self, seconds: int) -> None:
        self.world.clock.jump(seconds)
        self.run(self.world.pass_time(0))

    @rule(which=WHICH)
    def sandbox_dies(self, which: int) -> None:
        container_id = self._living(which)
        self.world.kill_sandbox(container_id)

    @rule(how=st.sampled_from(["restart", "crash", "reboot"]))
    def another_server(self, how: str) -> None:
        self.run(getattr(self.world, how)())

    @rule()
    def settle(self) -> None:
        self.run(self.world.settle())

    # Invariants

    @invariant()
    def containers_are_sound(self) -> None:
        self.run(self.world.look_at_all())

    @invariant()
    def lists_are_sound(self) -> None:
        self.run(self.world.check_lists())

    @invariant()
    def nothing_is_left_over(self) -> None:
        self.run(self.world.check_leftovers())

    @rule(which=WHICH)
    def a_stranger_comes(self, which: int) -> None:
        self.run(self.world.check_stranger(self._any(which)))

    def _any(self, which: int) -> str:
        return _nth(list(self.world.seen), which)

    def _living(self, which: int) -> str:
        return _nth(self.world.living() or list(self.world.seen), which)


def _nth(ids: list[str], which: int) -> str:
    return ids[-1 - which % len(ids)]


@pytest.mark.timeout(300 + 20 * LIVES)
def test_lives() -> None:
    run_state_machine_as_test(
        Lives,
        settings=settings(
            derandomize=not LIVES,
            database=None,
            max_examples=LIVES or 45,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.generate],  # a failure can take half a minute to show: no time to make it smaller
            suppress_health_check=list(HealthCheck),
        ),
    )
