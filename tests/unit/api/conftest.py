"""A client of the app, over services in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from cognitora_server.api import create_app

from . import fakes as fakes_module
from .fakes import Fakes


@pytest.fixture
def fakes() -> Fakes:
    return fakes_module.fakes()


@pytest.fixture
async def client(fakes: Fakes) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the first account's key; addresses are below /api/v1/compute unless they are whole."""
    transport = httpx.ASGITransport(create_app(fakes.services()))
    headers = {"Authorization": "Bearer cgk_one"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1/compute/", headers=headers) as made:
        yield made
