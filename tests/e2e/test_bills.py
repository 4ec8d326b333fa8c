"""What real containers cost on a real server: told while they run, after a crash, and at the end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers import COGNITORA, RunningServer

RESOURCES = {"cpuCores": 1, "memoryMb": 512, "storageGb": 1}
#: 2 + 0.25 + 0.01 credits an hour.
A_SECOND = 2.26 / 3600


@pytest.fixture
def billing(tmp_path: Path, images: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data") as server:
        yield server
        server.end_all_containers()
        server.wait_until_clean()


def test_a_bill_survives_a_crash_ends_at_its_limit_and_is_in_the_ledger(billing: RunningServer) -> None:
    with billing.client() as api:
        limited = api.create(**RESOURCES, maxCostCredits=A_SECOND * 12.5)
        free = api.create(**RESOURCES, maxCostCredits=1)
        api.until(free["id"], "RUNNING")
    billing.kill()
    time.sleep(2)
    billing.start()
    with billing.client() as api:
        first = api.container(free["id"])
        assert first["status"] == "RUNNING"
        ended = api.ended(limited["id"])
        assert (ended["status"], ended["reason"]) == ("TERMINATED", "budget")
        assert ended["budgetWarnedAt"] is not None
        # A slow host may be late; it is never paid for.
        assert ended["meteredSeconds"] >= 11
        assert A_SECOND * 10.9 < ended["actualCostCredits"] <= ended["maxCostCredits"]
        later = api.container(free["id"])
        assert later["meteredSeconds"] > first["meteredSeconds"] >= 2
        assert later["actualCostCredits"] == pytest.approx(later["meteredSeconds"] * A_SECOND, abs=1e-6)
        api.delete(f"/containers/{free['id']}")
        bills = {one["id"]: one for one in (ended, api.container(free["id"]))}
        usage = api.get("/usage", params={"groupBy": "container", "from": "2020-01-01"}).json()
        assert {item["containerId"]: (item["seconds"], item["credits"]) for item in usage["items"]} == {
            name: (one["meteredSeconds"], one["actualCostCredits"]) for name, one in bills.items()
        }
        assert usage["seconds"] == sum(one["meteredSeconds"] for one in bills.values())


def test_limits_set_on_the_command_line_hold_at_once(billing: RunningServer) -> None:
    with billing.client() as api:
        only = api.create(**RESOURCES)
        set_limit(billing, "--max-containers", "1")
        refused = api.post("/containers", json={"image": "x", **RESOURCES, "maxCostCredits": 1})
        assert (refused.status_code, refused.json()["code"]) == (429, "account_limit")
        assert int(refused.headers["Retry-After"]) > 0
        set_limit(billing, "--budget-credits", "0")
        ended = api.ended(only["id"])
        assert (ended["status"], ended["reason"]) == ("TERMINATED", "budget")
        refused = api.post("/containers", json={"image": "x", **RESOURCES, "maxCostCredits": 1})
        assert (refused.status_code, refused.json()["code"]) == (402, "budget_exhausted")


def set_limit(server: RunningServer, option: str, value: str) -> None:
    command = (COGNITORA, "accounts", "set", "default", option, value, "--data-dir", server.data_dir)
    subprocess.run(command, check=True, capture_output=True)
