"""A real server that no image can be pulled to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import RunningServer

_NO_REGISTRY = '[[registry]]\nlocation = "docker.io"\nblocked = true\n'


@pytest.fixture(scope="package")
def own_server(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[RunningServer]:
    """A server that asks no registry, so that a container of an unknown image fails at once."""
    folder = tmp_path_factory.mktemp("robustness")
    registries = folder / "registries.conf"
    registries.write_text(_NO_REGISTRY)
    # Whether many of these tests' wrong keys come within a minute depends on how fast they run.
    environment = {"COGNITORA_REGISTRIES_CONF": str(registries), "COGNITORA_WRONG_KEYS_PER_MINUTE": "0"}
    with RunningServer(folder / "data", environment=environment) as running:
        yield running
        running.end_all_containers()
        running.wait_until_clean()
