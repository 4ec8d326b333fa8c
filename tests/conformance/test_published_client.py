"""The published client, unchanged, works with a real server: all its `containers` methods."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.servers import RunningServer

SCRIPT = Path(__file__).with_name("published_client.py")
PYTHON = Path(__file__).parents[2] / ".venv-conformance" / "bin" / "python"
# By name only: this interpreter does not have the client.
CHECKS = re.findall(r"^def (\w+)\(base_url: str, key: str\) -> None:", SCRIPT.read_text(), re.MULTILINE)


def test_there_are_checks() -> None:
    assert len(CHECKS) == 7


@pytest.mark.skipif(not PYTHON.exists(), reason="scripts/setup dev makes the published client's environment")
@pytest.mark.parametrize("check", CHECKS)
def test_published_client(server: RunningServer, check: str) -> None:
    done = subprocess.run(
        [PYTHON, SCRIPT, server.base_url, server.api_key, check], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "passed\n"
