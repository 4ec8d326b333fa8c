"""Real podman with storage of its own, and real registries on free ports."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.registry import Registry as PlainRegistry

from cognitora_server.domain.images import Image
from cognitora_server.host.images import ImageSettings, ImageStore
from cognitora_server.host.mounts import unmount_below

from .oci import OciImage

MIB = 1024**2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = None
    if os.geteuid() != 0:
        reason = "images are unpacked and mounted as root"
    elif not shutil.which("podman"):
        reason = "podman is not installed"
    if reason:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


class Registry(PlainRegistry):
    """A registry that takes images made by hand."""

    def push(self, image: OciImage, name: str, place: Path) -> str:
        """Returns the manifest's digest."""
        layout = image.write_layout(place)
        self.copy(f"oci:{layout}:image", name)
        digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
        shutil.rmtree(layout)
        return str(digest)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    server = Registry(tmp_path_factory.mktemp("registry") / "r")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def private_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    server = Registry(tmp_path_factory.mktemp("private") / "r", user="ada")
    yield server
    server.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[ImageSettings]:
    run_root = Path(tempfile.mkdtemp(prefix="images-"))  # podman takes no more than 50 characters
    made = ImageSettings(
        data_dir=tmp_path / "data",
        storage_root=tmp_path / "storage",
        run_root=run_root,
        image_max_bytes=256 * MIB,
        disk_reserve_bytes=64 * MIB,
        pull_timeout_seconds=60,
    )
    yield made
    unmount_below(tmp_path)
    unmount_below(run_root)
    shutil.rmtree(tmp_path)
    shutil.rmtree(run_root)


@pytest.fixture
async def store(settings: ImageSettings) -> AsyncIterator[ImageStore]:
    made = ImageStore(settings)
    await made.start()
    yield made


def with_registries(settings: ImageSettings, text: str) -> ImageSettings:
    """The same settings with a registries.conf of this text."""
    path = settings.data_dir.parent / "registries.conf"
    path.write_text(text)
    return replace(settings, registries_conf=path)


def insecure(address: str) -> str:
    return f'[[registry]]\nlocation = "{address}"\ninsecure = true\n'


def with_login(settings: ImageSettings, address: str, password: str) -> ImageSettings:
    path = settings.data_dir.parent / "auth.json"
    secret = base64.b64encode(f"ada:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {address: {"auth": secret}}}))
    return replace(settings, auth_file=path)


def podman(settings: ImageSettings, *args: str | Path) -> str:
    command = ["podman", "--root", settings.storage_root, "--runroot", settings.run_root, *args]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def leftovers(settings: ImageSettings) -> list[str]:
    """Whatever lies in scratch directories or in the storage without being part of an image."""
    scratch = [path.name for path in settings.scratch_dir.iterdir()] if settings.scratch_dir.is_dir() else []
    assert settings.storage_root is not None
    overlay = settings.storage_root / "overlay"
    layers = [path.name for path in overlay.iterdir() if len(path.name) == 64] if overlay.is_dir() else []
    listed = podman(settings, "images", "--all", "--quiet").split()
    return scratch + ([] if listed else layers)


async def load(store: ImageStore, image: OciImage, place: Path) -> Image:
    """Bring an image in without a registry."""
    return await store.import_archive(image.write_archive(place))
