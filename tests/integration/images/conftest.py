"""Real podman with storage of its own, and real registries on free ports."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

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


class Registry:
    """A docker-registry of its own, with its access log."""

    def __init__(self, place: Path, user: str | None = None) -> None:
        if not shutil.which("docker-registry"):
            pytest.skip("docker-registry is not installed")
        place.mkdir()
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._log = place / "log"
        config = (
            f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {place}/data}}}}\nhttp: {{addr: {self.address}}}\n"
        )
        if user:
            subprocess.run(
                ["htpasswd", "-bBc", "-C", "4", place / "passwords", user, "secret"],
                check=True,
                capture_output=True,
            )
            config += f"auth: {{htpasswd: {{realm: test, path: {place}/passwords}}}}\n"
        self.credentials = f"{user}:secret" if user else None
        (place / "config.yml").write_text(config)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(["docker-registry", "serve", place / "config.yml"], stdout=log, stderr=log)
        wait_for_port(self.port)

    def push(self, image: OciImage, name: str, place: Path) -> str:
        """Returns the manifest's digest."""
        layout = image.write_layout(place)
        credentials = ["--dest-creds", self.credentials] if self.credentials else []
        target = f"docker://{self.address}/{name}"
        subprocess.run(
            [
                "skopeo",
                "copy",
                "--quiet",
                "--preserve-digests",
                "--dest-tls-verify=false",
                *credentials,
                f"oci:{layout}:image",
                target,
            ],
            check=True,
        )
        digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
        shutil.rmtree(layout)
        return str(digest)

    def requests(self, pattern: str) -> int:
        """How many answered requests' lines match, such as `GET /v2/…`."""
        return len(re.findall(rf'"{pattern}[^"]*HTTP/1.1" 200', self._log.read_text(errors="replace")))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the registry does not answer")


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


def mirror_of_docker_io(address: str) -> str:
    return f'[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "{address}"\ninsecure = true\n'


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
