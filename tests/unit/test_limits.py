"""What a host gives: to one container at the most, and to all together."""

from __future__ import annotations

import os
from typing import Any

import pytest

from cognitora_server.control.limits import HostCapacity, check_request
from cognitora_server.domain.containers import MIB, ContainerRequest
from cognitora_server.domain.errors import ResourcesUnavailable
from cognitora_server.domain.resources import Resources
from cognitora_server.settings import InvalidSettings, load_settings


def capacity(**settings: Any) -> HostCapacity:
    return HostCapacity(load_settings(**settings))


def test_a_host_gives_what_the_machine_has_less_a_reserve() -> None:
    host = capacity(memory_reserve_mb=256, cpu_overcommit=3)
    machine_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
    assert (host.cpu_cores, host.memory_mb) == (len(os.sched_getaffinity(0)), machine_mb - 256)
    assert (host.all_cpu_cores, host.all_memory_mb) == (3 * host.cpu_cores, host.memory_mb)


def test_an_operator_says_what_it_gives() -> None:
    host = capacity(host_cpu_cores=6, host_memory_mb=1000, cpu_overcommit=2, memory_overcommit=1.5, max_containers=7)
    assert (host.cpu_cores, host.memory_mb) == (6, 1000)
    assert (host.all_cpu_cores, host.all_memory_mb, host.all_containers) == (12, 1500, 7)


def test_less_together_than_for_one_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="cpu_overcommit"):
        load_settings(cpu_overcommit=0.5)


@pytest.mark.parametrize(
    ("resources", "field", "asked", "largest"),
    [
        (Resources(4.5, 64), "cpuCores", 4.5, 4),
        (Resources(1, 16_000_001), "memoryMb", 16_000_001, 16_000_000),
        (Resources(1, 64, 21), "storageGb", 21, 20),
        (Resources(1, 64, 1, 1), "gpuCount", 1, 0),
    ],
)
def test_what_one_container_can_never_get(resources: Resources, field: str, asked: float, largest: float) -> None:
    settings = load_settings(host_cpu_cores=4, host_memory_mb=16_000_000, memory_overcommit=2, max_storage_gb=20)
    with pytest.raises(ResourcesUnavailable) as refused:
        check_request(ContainerRequest("python", resources, 1), settings, HostCapacity(settings))
    assert refused.value.details == {"field": field, "asked": asked, "largest": largest}
    assert all(word in refused.value.message for word in (field, str(asked), str(largest)))


def test_the_largest_is_given() -> None:
    settings = load_settings(host_cpu_cores=4, host_memory_mb=1000, max_storage_gb=20)
    check_request(ContainerRequest("python", Resources(4, 1000, 20), 1), settings, HostCapacity(settings))
