"""Layers made to harm the host that unpacks or mounts them."""

import contextlib
import stat
import tarfile
from pathlib import Path

import pytest

from cognitora_server.domain.images import ImageError
from cognitora_server.host.images import ImageSettings, ImageStore, Rootfs

from .conftest import load
from .oci import OciImage, directory, link, member, tar

Member = tuple[tarfile.TarInfo, bytes]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What an attacker wants to reach: a file, and a directory to write into."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "secret").write_bytes(b"secret")
    return place


def escapes(outside: Path) -> dict[str, list[list[Member]]]:
    up = "../" * 40
    relative = str(outside).lstrip("/")
    return {
        "absolute path": [[member(f"{outside}/planted", b"x")]],
        "path upwards": [[member(f"{up}{relative}/planted", b"x")]],
        "path upwards, hidden": [[directory("a"), member(f"a/./{up}{relative}/planted", b"x")]],
        "through a link": [[link("out", str(outside)), member("out/planted", b"x")]],
        "through a link of an earlier layer": [[link("out", str(outside))], [member("out/planted", b"x")]],
        "through a relative link": [[link("out", f"{up}{relative}"), member("out/planted", b"x")]],
        "over a link": [[link("f", f"{outside}/secret")], [member("f", b"overwritten")]],
        "hard link to a host file": [[link("h", f"{outside}/secret", hard=True)]],
        "hard link upwards": [[link("h", f"{up}{relative}/secret", hard=True), member("h", b"overwritten")]],
        "hard link through a link": [[link("out", str(outside)), link("h", "out/secret", hard=True)]],
        "whiteout upwards": [[member(f"{up}{relative}/.wh.secret")]],
        "whiteout through a link": [[link("out", str(outside))], [member("out/.wh.secret")]],
        "opaque through a link": [[link("out", str(outside))], [member("out/.wh..wh..opq")]],
        "whiteout of the parent": [[directory("a"), member("a/.wh...", b"")]],
        "whiteout of itself": [[directory("a"), member("a/.wh..", b"")]],
        "whiteout without a name": [[directory("a"), member("a/.wh.", b"")]],
    }


@pytest.mark.parametrize("name", list(escapes(Path("/x"))))
async def test_layers_cannot_leave_their_root(
    name: str, settings: ImageSettings, store: ImageStore, outside: Path, tmp_path: Path
) -> None:
    image = OciImage([tar(*members) for members in escapes(outside)[name]])
    # Refusing the image is as good as taming it.
    with contextlib.suppress(ImageError):
        root = await Rootfs(settings, store).mounted(await load(store, image, tmp_path / "hostile.tar"))
        for path in root.iterdir():
            assert path.is_symlink() or not path.is_file() or path.read_bytes() != b"secret"
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert (outside / "secret").stat().st_nlink == 1


async def test_device_nodes_and_setuid_files_have_no_power(
    settings: ImageSettings, store: ImageStore, tmp_path: Path
) -> None:
    disk = member("disk", type=tarfile.CHRTYPE, devmajor=1, devminor=5, mode=0o666)
    image = OciImage([tar(disk, member("root-shell", b"x", mode=0o4755))])
    try:
        root = await Rootfs(settings, store).mounted(await load(store, image, tmp_path / "hostile.tar"))
    except ImageError:
        return
    if stat.S_ISCHR((root / "disk").lstat().st_mode):
        with pytest.raises(PermissionError):
            (root / "disk").open("rb")


async def test_overlay_attributes_in_a_layer_are_not_obeyed(
    settings: ImageSettings, store: ImageStore, tmp_path: Path
) -> None:
    redirected = directory("public")
    redirected[0].pax_headers = {
        "SCHILY.xattr.trusted.overlay.redirect": "/private",
        "SCHILY.xattr.user.overlay.redirect": "/private",
    }
    image = OciImage([tar(directory("private", 0o700), member("private/key", b"k")), tar(redirected)])
    root = await Rootfs(settings, store).mounted(await load(store, image, tmp_path / "hostile.tar"))
    # The kernel may refuse such a directory altogether: also good.
    with contextlib.suppress(PermissionError):
        assert not (root / "public/key").exists()


async def test_a_storm_of_members_is_bounded(settings: ImageSettings, store: ImageStore, tmp_path: Path) -> None:
    deep = "/".join(["d"] * 900)
    image = OciImage([tar(*(member(f"n{n}") for n in range(3000)), member(f"{deep}/end"), member("x" * 255))])
    with contextlib.suppress(ImageError):
        root = await Rootfs(settings, store).mounted(await load(store, image, tmp_path / "storm.tar"))
        assert (root / "n2999").exists()
