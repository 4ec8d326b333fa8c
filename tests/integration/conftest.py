"""The control plane for tests of the control layer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.controls import Start, starting


@pytest_asyncio.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a control plane on the test's folder; starting it again is a restart. All is removed at the end."""
    async with starting(tmp_path) as begin:
        yield begin
