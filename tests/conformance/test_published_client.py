"""The published client, unchanged, works with a real server; our own does what it does: all `containers` methods."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers import RunningServer

import cognitora

SCRIPT = Path(__file__).with_name("published_client.py")
PYTHON = Path(__file__).parents[2] / ".venv-conformance" / "bin" / "python"
# By name only: this interpreter does not have the client.
CHECKS = re.findall(r"^def (\w+)\(base_url: str, key: str\) -> None:", SCRIPT.read_text(), re.MULTILINE)


def test_there_are_checks() -> None:
    assert len(CHECKS) == 7


@pytest.mark.skipif(not PYTHON.exists(), reason="scripts/setup dev makes the published client's environment")
@pytest.mark.parametrize("check", CHECKS)
def test_published_client(server: RunningServer, check: str) -> None:
    run(server, PYTHON, check, "1.6.1")


@pytest.mark.parametrize("check", CHECKS)
def test_our_client(server: RunningServer, check: str) -> None:
    run(server, Path(sys.executable), check, cognitora.__version__)


def run(server: RunningServer, python: Path, check: str, version: str) -> None:
    # The published client's interpreter must not find ours.
    environment = {name: value for name, value in os.environ.items() if version != "1.6.1" or name != "PYTHONPATH"}
    done = subprocess.run(
        [python, SCRIPT, server.base_url, server.api_key, check, version],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "passed\n"
