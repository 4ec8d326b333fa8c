"""A registry with images under the names that the examples use, built from Debian's packages."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cognitora_server.host.images import ImageSettings
from cognitora_server.host.images.podman import Podman
from tests.registry import Registry, mirror

CONTAINERFILE = Path(__file__).with_name("images") / "Containerfile"

#: The target of the Containerfile that stands behind each name. Ubuntu is a Debian here.
NAMES = {
    "docker.io/library/ubuntu:22.04": "ubuntu",
    "docker.io/library/python:3.11": "python",
    "docker.io/library/python:3.11-slim": "python",
    "docker.io/library/python:3.11.6-slim-bullseye": "pinned-python",
    "docker.io/library/untrusted-image:latest": "untrusted",
    "docker.io/jupyter/datascience-notebook:latest": "datascience-notebook",
    "your-private-registry.com/secure-agent:v1.2.3": "secure-agent",
}


def fill(registry: Registry, storage: Path) -> None:
    """Build the images in `storage`, which keeps them for the next time, and push them."""
    asyncio.run(_fill(registry, Podman(ImageSettings(storage_root=storage))))


def registries_conf(registry: Registry) -> str:
    """What tells the server that these registries are asked at ours."""
    return "".join(mirror(host, registry.address) for host in sorted({name.partition("/")[0] for name in NAMES}))


async def _fill(registry: Registry, podman: Podman) -> None:
    for name, target in NAMES.items():
        local = f"localhost/examples/{target}"
        await _run(podman, *_build(target), "--tag", local, "--file", str(CONTAINERFILE), str(CONTAINERFILE.parent))
        path = name.partition("/")[2]
        await _run(podman, "push", "--tls-verify=false", local, f"docker://{registry.address}/{path}")


def _build(target: str) -> list[str]:
    # podman's own storage is the cache: a layer is built again only where what it is made of has changed.
    return ["build", "--layers", "--network=host", "--isolation=chroot", "--target", target]


async def _run(podman: Podman, *words: str) -> None:
    done = await podman.run(*words, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
