import asyncio
import shutil
from pathlib import Path

import pytest

from cognitora_server.domain.images import ImageNotFound, ImageReference
from cognitora_server.host.images import ImageSettings, ImageStore, Rootfs, bootstrap

from .conftest import leftovers, load, podman
from .oci import OciImage, member, tar

pytestmark = pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="mmdebstrap is not installed")


async def test_an_unknown_name_builds_nothing(settings: ImageSettings) -> None:
    with pytest.raises(ImageNotFound, match=r"python:3\.11"):
        await bootstrap(settings, ["debian", "zork"])
    assert await ImageStore(settings).list() == []


async def test_an_interrupted_build_leaves_nothing(settings: ImageSettings) -> None:
    started = asyncio.Event()
    build = asyncio.create_task(bootstrap(settings, ["debian"], on_step=lambda recipe, step: started.set()))
    await started.wait()
    await asyncio.sleep(1)
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    assert leftovers(settings) == []


async def test_a_killed_build_is_cleaned_up_by_the_next(settings: ImageSettings) -> None:
    (settings.scratch_dir / "bootstrap-debian-x" / "rootfs").mkdir(parents=True)
    await ImageStore(settings).start()
    assert leftovers(settings) == []


async def test_debian_is_built_once_and_stands_in(settings: ImageSettings, tmp_path: Path) -> None:
    store = ImageStore(settings)
    one, two = await asyncio.gather(bootstrap(settings, ["debian"]), bootstrap(settings, ["debian"], stand_ins=True))
    assert sorted([one[0].built, two[0].built]) == [False, True]
    assert leftovers(settings) == []

    image = await store.ensure(ImageReference.parse("debian:12"))
    assert image.origin == "stand-in"
    assert image.notice is not None and "not the image that the registry publishes" in image.notice
    assert (await store.find("localhost/cognitora/debian:12")).origin == "local"
    root = await Rootfs(settings, store).mounted(image)
    assert (root / "bin/bash").exists()
    assert (root / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 0
    assert [path.name for path in (root / "var/lib/apt/lists").iterdir() if path.suffix] == []
    assert not (root / "usr/share/man/man1").exists()
    assert (root / "usr/share/doc/bash/copyright").exists()
    assert (root / "etc/resolv.conf").read_bytes() == (root / "etc/hostname").read_bytes() == b""

    # A real image under a stand-in's name stays what it is.
    real = await load(store, OciImage([tar(member("real"))]), tmp_path / "real.tar")
    podman(settings, "tag", real.id, "docker.io/library/debian:12")
    again = await bootstrap(settings, ["debian"], stand_ins=True)
    assert again[0].kept == ("docker.io/library/debian:12",)
    assert (await store.find("docker.io/library/debian:12")).id == real.id
