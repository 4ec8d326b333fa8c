import gzip
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cognitora_server.domain.images import ImageInUse, ImageInvalid, ImageNotFound, ImageReference, ImageTooLarge
from cognitora_server.host.images import ImageSettings, ImageStore

from .conftest import MIB, leftovers, load, podman
from .oci import OciImage, directory, member, tar

SMALL = OciImage([tar(directory("bin"), member("bin/sh", b"#!"))], {"Cmd": ["/bin/sh"]})


def build(settings: ImageSettings, place: Path, name: str, text: str) -> None:
    place.mkdir(exist_ok=True)
    (place / "Containerfile").write_text(f"FROM scratch\nCOPY Containerfile /{text}\n")
    podman(settings, "build", "--quiet", "--tag", name, place)


async def test_what_podman_builds_is_there_at_once(settings: ImageSettings, store: ImageStore, tmp_path: Path) -> None:
    assert await store.get(ImageReference.parse("my-agent")) is None
    build(settings, tmp_path / "b", "my-agent", "one")
    first = await store.ensure(ImageReference.parse("my-agent"))
    assert first.names == ("localhost/my-agent:latest",)
    assert first.origin == "local"
    assert first.notice is not None
    build(settings, tmp_path / "b", "my-agent", "two")
    second = await store.ensure(ImageReference.parse("my-agent"))
    assert second.id != first.id
    assert (await store.find(first.id[:12])).names == ()
    removed = await store.prune({second.id})
    assert [image.id for image in removed] == [first.id]
    assert [image.id for image in await store.list()] == [second.id]


async def test_a_present_image_costs_no_process(
    settings: ImageSettings, store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(store, SMALL, tmp_path / "a.tar")
    image = (await store.list())[0]
    podman(settings, "tag", image.id, "small")
    await store.ensure(ImageReference.parse("small"))
    monkeypatch.setenv("PATH", "")
    assert (await store.ensure(ImageReference.parse("small"))).id == image.id


async def test_removing(settings: ImageSettings, store: ImageStore, tmp_path: Path) -> None:
    image = await load(store, SMALL, tmp_path / "a.tar")
    podman(settings, "tag", image.id, "one", "two")
    await store.remove("image")
    await store.remove("one", in_use={image.id})
    assert (await store.find("two")).names == ("localhost/two:latest",)
    for text in ("two", image.id, image.id[:12]):
        with pytest.raises(ImageInUse):
            await store.remove(text, in_use={image.id})
    await store.remove("two")
    await store.remove("two")
    with pytest.raises(ImageNotFound):
        await store.find("two")
    assert await store.list() == []


async def test_removing_by_id_takes_all_names(settings: ImageSettings, store: ImageStore, tmp_path: Path) -> None:
    image = await load(store, SMALL, tmp_path / "a.tar")
    podman(settings, "tag", image.id, "one", "two")
    await store.remove(image.id[:12])
    assert await store.list() == []


async def test_an_image_of_a_podman_container_stays(settings: ImageSettings, store: ImageStore, tmp_path: Path) -> None:
    image = await load(store, SMALL, tmp_path / "a.tar")
    podman(settings, "create", "--network=none", image.id)
    with pytest.raises(ImageInUse, match="podman"):
        await store.remove(image.id)
    assert await store.prune(unnamed_only=False) == []


async def test_importing_archives_of_every_kind(settings: ImageSettings, store: ImageStore, tmp_path: Path) -> None:
    rootfs = tmp_path / "root.tar.gz"
    rootfs.write_bytes(gzip.compress(SMALL.layers[0]))
    named = ImageReference.parse("localhost/from-tar:1")
    imported = await store.import_archive(rootfs, named)
    assert imported.names == (str(named),)
    assert imported.config.cmd == ("/bin/sh",)
    for kind in ("docker-archive", "oci-archive"):
        archive = tmp_path / f"{kind}.tar"
        podman(settings, "save", "--quiet", "--format", kind, "--output", archive, str(named))
        again = await store.import_archive(archive, ImageReference.parse(f"localhost/{kind}"))
        assert str(named) in again.names
        assert f"localhost/{kind}:latest" in again.names
    usage = await store.disk_usage()
    assert usage.images == len(await store.list())
    assert usage.image_bytes > 0
    assert usage.free_bytes > 0


async def test_importing_what_is_no_image(store: ImageStore, tmp_path: Path) -> None:
    for name, content in {"text": b"hello\n" * 100, "empty": b"", "cut.gz": gzip.compress(b"x" * 9999)[:20]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageInvalid):
            await store.import_archive(tmp_path / name)
    broken = SMALL.write_archive(tmp_path / "broken.tar")
    subprocess.run(["tar", "--delete", "-f", broken, "index.json"], check=True)
    with pytest.raises(ImageInvalid, match="could not be imported"):
        await store.import_archive(broken)
    assert await store.list() == []


async def test_an_archive_that_is_too_large_leaves_nothing(settings: ImageSettings, tmp_path: Path) -> None:
    bomb = OciImage([tar(member("a", b"x")), tar(member("zeros", bytes(300 * MIB)))], compress=True)
    archive = bomb.write_archive(tmp_path / "bomb.tar")
    with pytest.raises(ImageTooLarge):
        await ImageStore(replace(settings, image_max_bytes=MIB)).import_archive(archive)
    assert leftovers(settings) == []


async def test_odd_metadata_is_bounded(store: ImageStore, tmp_path: Path) -> None:
    odd = OciImage(
        SMALL.layers,
        {
            "Labels": {"a\u001b[31m\u202e": "v\n" * 10_000, **{f"l{n}": "x" for n in range(999)}},
            "Env": ["A=1", "=x", "B", "C=a\u0000b", "\u0007=1", *(f"V{n}=x" for n in range(5000))],
            "WorkingDir": "../../etc",
            "User": "u" * 9999,
            "Volumes": {"/ok": {}, "/../../x": {}, "rel": {}, "/": {}, "/nul\u0000": {}},
        },
    )
    config = (await load(store, odd, tmp_path / "odd.tar")).config
    assert len(config.labels) <= 256
    assert all(key.isprintable() and value.isprintable() and len(value) <= 4096 for key, value in config.labels.items())
    assert config.env["A"] == "1"
    assert len(config.env) <= 1024
    assert not any("\0" in value for value in config.env.values())
    assert config.working_dir == "/"
    assert len(config.user) <= 256
    assert config.volumes == ("/ok", "/rel")
