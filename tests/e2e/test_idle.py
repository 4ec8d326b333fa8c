"""IDLE and the idle timeout on a real server, by what goes on in real sandboxes."""

from __future__ import annotations

from pathlib import Path

from tests.servers import RunningServer


def test_idle_by_activity_and_the_end_of_it(tmp_path: Path, images: Path) -> None:
    idle_soon = {"COGNITORA_IDLE_AFTER_SECONDS": "3"}
    with RunningServer(tmp_path / "data", environment=idle_soon) as server, server.client() as api:
        sleeps = api.create(command=["sleep", "1000"])["id"]
        works = api.create(command=["sh", "-c", "while :; do :; done"], cpuCores=0.2)["id"]
        ends = api.create(command=["sleep", "1000"], idleTimeoutSeconds=6)["id"]
        idle = api.until(sleeps, "IDLE")
        assert idle["lastActivityAt"] >= idle["startedAt"]
        api.exec(sleeps, "echo", "awake")
        api.until(sleeps, "RUNNING")
        api.until(sleeps, "IDLE")
        ended = api.ended(ends)
        assert (ended["status"], ended["reason"]) == ("TIMEOUT", "idle")
        assert "idleTimeoutSeconds" in ended["errorMessage"]
        assert api.container(works)["status"] == "RUNNING"
