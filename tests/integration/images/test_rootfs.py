import shutil
import stat
from pathlib import Path

import pytest

from cognitora_server.domain.images import Image, ImageInvalid, ImageNotFound
from cognitora_server.host.images import OVERLAY_OPTIONS, ImageSettings, ImageStore, Rootfs
from cognitora_server.host.mounts import mount_overlay, mounts, unmount

from .conftest import load, podman
from .oci import OciImage, directory, link, member, tar

MOUNT_POINTS = ("proc", "dev", "sys", "run", "tmp", "etc", ".cognitora")


@pytest.fixture
def rootfs(settings: ImageSettings, store: ImageStore) -> Rootfs:
    return Rootfs(settings, store)


async def loaded(store: ImageStore, tmp_path: Path, *layers: bytes, **config: object) -> Image:
    return await load(store, OciImage(list(layers), dict(config)), tmp_path / "image.tar")


async def test_layers_are_one_read_only_root(store: ImageStore, rootfs: Rootfs, tmp_path: Path) -> None:
    lower = tar(directory("d"), member("d/gone", b"1"), member("d/stays", b"2"), directory("o"), member("o/hidden"))
    upper = tar(member("d/.wh.gone"), member("o/.wh..wh..opq"), member("o/new", b"3"))
    image = await loaded(store, tmp_path, lower, upper, Volumes={"/var/lib/data": {}})
    root = await rootfs.mounted(image)
    assert sorted(path.name for path in (root / "d").iterdir()) == ["stays"]
    assert sorted(path.name for path in (root / "o").iterdir()) == ["new"]
    assert all((root / name).is_dir() for name in MOUNT_POINTS)
    assert (root / "etc/resolv.conf").read_bytes() == b""
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    assert stat.S_IMODE((root / "var/lib/data").stat().st_mode) == 0o755
    with pytest.raises(OSError, match="Read-only"):
        (root / "d/stays").write_bytes(b"x")
    point = mounts(root)[0]
    assert {"ro", "nodev", "nosuid", "noatime"} <= point.options


async def test_mounting_is_idempotent_and_found_again(
    settings: ImageSettings, store: ImageStore, rootfs: Rootfs, tmp_path: Path
) -> None:
    image = await loaded(store, tmp_path, tar(member("f", b"1")))
    root = await rootfs.mounted(image)
    assert await rootfs.mounted(image) == root
    before = mounts(root)
    restarted = Rootfs(settings, ImageStore(settings))
    assert await restarted.mounted(image) == root
    assert await restarted.layers(image) == await rootfs.layers(image)
    assert mounts(root) == before
    unmount(root)
    assert (await rootfs.mounted(image) / "f").read_bytes() == b"1"


async def test_unmounting_what_is_unused(
    settings: ImageSettings, store: ImageStore, rootfs: Rootfs, tmp_path: Path
) -> None:
    first = await loaded(store, tmp_path, tar(member("f", b"1")))
    shutil.rmtree(tmp_path / "image.layout")
    second = await loaded(store, tmp_path, tar(member("f", b"2")))
    for image in (first, second):
        await rootfs.mounted(image)
    assert await rootfs.unmount_unused({second.id}) == [first.id]
    assert [point.target.name for point in mounts(settings.data_dir)] == [second.id]
    assert [path.name for path in (settings.data_dir / "rootfs").iterdir()] == [second.id]
    assert [path.name for path in (settings.data_dir / "rootfs-extra").iterdir()] == [second.id]
    assert await rootfs.unmount_unused(()) == [second.id]


async def test_as_many_layers_as_an_image_can_have(store: ImageStore, rootfs: Rootfs, tmp_path: Path) -> None:
    image = await loaded(store, tmp_path, *(tar(member(f"f{n}", b"x")) for n in range(127)))
    root = await rootfs.mounted(image)
    assert sum(path.name.startswith("f") for path in root.iterdir()) == 127
    upper, work, target = (tmp_path / name for name in ("upper", "work", "target"))
    for path in (upper, work, target):
        path.mkdir()
    mount_overlay(target, await rootfs.layers(image), upper=upper, work=work, options=OVERLAY_OPTIONS)
    (target / "f0").write_bytes(b"written")
    (target / "etc/hosts").write_bytes(b"127.0.0.1 localhost\n")
    unmount(target)
    assert (root / "f0").read_bytes() == b"x"


async def test_what_an_image_hides_is_there_all_the_same(store: ImageStore, rootfs: Rootfs, tmp_path: Path) -> None:
    image = await loaded(
        store,
        tmp_path,
        tar(
            link("proc", "/etc"),
            member("dev", b"a file"),
            member(".wh.sys"),
            directory("etc", 0o711),
            member("etc/.wh..wh..opq"),
            member("etc/passwd", b"root"),
            directory("var", 0o700),
            member("var/.wh..wh..opq"),
            link("linked", "/var"),
        ),
        Volumes={"/var/data": {}, "/linked/volume": {}, "/etc/passwd/x": {}},
    )
    root = await rootfs.mounted(image)
    for name in MOUNT_POINTS:
        assert stat.S_ISDIR((root / name).lstat().st_mode), name
    assert (root / "etc/hosts").is_file()
    assert (root / "etc/passwd").read_bytes() == b"root"
    assert stat.S_IMODE((root / "etc").stat().st_mode) == 0o711
    assert (root / "var/data").is_dir()
    assert stat.S_IMODE((root / "var").stat().st_mode) == 0o700
    assert (root / "linked").is_symlink()
    assert not Path("/var/volume").exists()
    assert len(await rootfs.layers(image)) == 3


async def test_an_image_removed_behind_our_back(
    settings: ImageSettings, store: ImageStore, rootfs: Rootfs, tmp_path: Path
) -> None:
    image = await loaded(store, tmp_path, tar(member("f", b"1")))
    await rootfs.mounted(image)
    podman(settings, "rmi", image.id)
    with pytest.raises(ImageNotFound):
        await rootfs.mounted(image)
    again = await store.import_archive(tmp_path / "image.tar")
    assert again.id == image.id
    assert (await rootfs.mounted(image) / "f").read_bytes() == b"1"


async def test_a_layer_that_is_a_link_is_not_mounted(store: ImageStore, rootfs: Rootfs, tmp_path: Path) -> None:
    image = await loaded(store, tmp_path, tar(member("f", b"1")))
    layer = (await store.layer_paths(image.id))[0]
    layer.rename(tmp_path / "moved")
    for target in (tmp_path / "moved", Path("/etc")):
        layer.symlink_to(target)
        with pytest.raises(ImageInvalid, match="not a directory of the image storage"):
            await rootfs.mounted(image)
        layer.unlink()
