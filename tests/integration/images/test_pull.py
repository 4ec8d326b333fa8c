import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.registry import free_port, mirror

from cognitora_server.domain.images import (
    ImageError,
    ImageNotFound,
    ImagePullFailed,
    ImageReference,
    ImageTooLarge,
    ImageUnauthorized,
    RegistryUnreachable,
)
from cognitora_server.host.images import ImageSettings, ImageStore, PullProgress

from .conftest import (
    MIB,
    Registry,
    insecure,
    leftovers,
    with_login,
    with_registries,
)
from .oci import OciImage, member, tar

HELLO = OciImage([tar(member("hello", b"hello")), tar(member("two", b"2"))], {"Cmd": ["/hello"]})


def parse(text: str) -> ImageReference:
    return ImageReference.parse(text)


@pytest.fixture(scope="session")
def hello(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    return registry.push(HELLO, "library/hello:1", tmp_path_factory.mktemp("push") / "layout")


@pytest.fixture
def mirrored(settings: ImageSettings, registry: Registry) -> ImageSettings:
    """docker.io as these tests can have it: through a mirror."""
    return with_registries(settings, mirror("docker.io", registry.address) + insecure(registry.address))


async def failure(settings: ImageSettings, name: str) -> ImageError:
    with pytest.raises(ImageError) as caught:
        await ImageStore(settings).ensure(parse(name))
    return caught.value


@pytest.mark.usefixtures("hello")
async def test_a_short_name_comes_from_docker_io_through_its_mirror(mirrored: ImageSettings) -> None:
    seen: list[PullProgress] = []
    image = await ImageStore(mirrored).ensure(parse("hello:1"), seen.append)
    assert image.names == ("docker.io/library/hello:1",)
    assert image.config.cmd == ("/hello",)
    assert (image.origin, image.notice) == ("registry", None)
    assert seen[0].phase == "connecting"
    assert (seen[-1].phase, seen[-1].layers_done, seen[-1].layers_total) == ("done", 2, 2)
    assert leftovers(mirrored) == []


async def test_a_digest_finds_the_same_image(mirrored: ImageSettings, hello: str) -> None:
    store = ImageStore(mirrored)
    by_digest = await store.ensure(parse(f"hello@{hello}"))
    assert by_digest.digest == hello
    by_both = await store.ensure(parse(f"docker.io/library/hello:1@{hello}"))
    by_tag = await store.ensure(parse("hello:1"))
    assert by_digest.id == by_both.id == by_tag.id


@pytest.mark.usefixtures("hello")
async def test_all_who_wait_share_one_pull(mirrored: ImageSettings, registry: Registry) -> None:
    before = registry.requests("GET /v2/library/hello/blobs/")
    store = ImageStore(mirrored)
    waiters = [asyncio.create_task(store.ensure(parse("hello:1"))) for _ in range(20)]
    await asyncio.sleep(0.05)
    waiters.pop(0).cancel()
    images = await asyncio.gather(*waiters)
    assert len({image.id for image in images}) == 1
    assert registry.requests("GET /v2/library/hello/blobs/") - before == 3  # its configuration and two layers


async def test_a_pull_that_nobody_waits_for_ends_without_traces(
    settings: ImageSettings, registry: Registry, tmp_path: Path
) -> None:
    large = OciImage([tar(member(f"f{n}", os.urandom(24 * MIB))) for n in range(3)])
    registry.push(large, "large:1", tmp_path / "layout")
    configured = with_registries(settings, insecure(registry.address))
    store = ImageStore(configured)
    started = asyncio.Event()

    def watch(progress: PullProgress) -> None:
        if progress.layers_total:
            started.set()

    pull = asyncio.create_task(store.ensure(parse(f"{registry.address}/large:1"), watch))
    await started.wait()
    await asyncio.sleep(0.1)
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    assert await store.list() == []
    assert leftovers(configured) == []


@pytest.mark.usefixtures("hello")
async def test_who_comes_while_an_abandoned_pull_ends_gets_the_image(mirrored: ImageSettings) -> None:
    store = ImageStore(mirrored)
    abandoned = asyncio.create_task(store.ensure(parse("hello:1")))
    await asyncio.sleep(0.3)
    abandoned.cancel()
    await asyncio.sleep(0)
    assert (await store.ensure(parse("hello:1"))).names == ("docker.io/library/hello:1",)


async def test_an_image_that_is_too_large_is_refused_and_removed(
    settings: ImageSettings, registry: Registry, tmp_path: Path
) -> None:
    bomb = OciImage([tar(member("small", b"x")), tar(member("zeros", bytes(64 * MIB)))], compress=True)
    registry.push(bomb, "bomb:1", tmp_path / "layout")
    configured = replace(with_registries(settings, insecure(registry.address)), image_max_bytes=32 * MIB)
    error = await failure(configured, f"{registry.address}/bomb:1")
    assert isinstance(error, ImageTooLarge)
    assert "32 MiB" in error.message
    assert leftovers(configured) == []


async def test_a_bomb_is_stopped_while_it_unpacks(settings: ImageSettings, registry: Registry, tmp_path: Path) -> None:
    bomb = OciImage([tar(member("zeros", bytes(256 * MIB)))], compress=True)
    registry.push(bomb, "bomb:2", tmp_path / "layout")
    configured = replace(with_registries(settings, insecure(registry.address)), image_max_bytes=MIB)
    error = await failure(configured, f"{registry.address}/bomb:2")
    assert isinstance(error, ImageTooLarge)
    assert leftovers(configured) == []


async def test_the_disk_reserve_is_kept(mirrored: ImageSettings) -> None:
    error = await failure(replace(mirrored, disk_reserve_bytes=1 << 60), "hello:1")
    assert isinstance(error, ImagePullFailed)
    assert "kept in reserve" in error.message


async def test_a_pull_that_takes_too_long_fails(mirrored: ImageSettings) -> None:
    error = await failure(replace(mirrored, pull_timeout_seconds=0.02), "hello:1")
    assert isinstance(error, ImagePullFailed)
    assert "0.02 seconds" in error.message
    assert leftovers(mirrored) == []


async def test_missing(settings: ImageSettings, registry: Registry) -> None:
    configured = with_registries(settings, insecure(registry.address))
    error = await failure(configured, f"{registry.address}/unauthorized:404")
    assert isinstance(error, ImageNotFound)
    assert f"{registry.address} has no image" in error.message
    assert error.details["registry"] == registry.address


async def test_missing_in_the_mirror_and_docker_io_out_of_reach(mirrored: ImageSettings) -> None:
    """Where docker.io can be reached it says itself that there is no such image."""
    error = await failure(mirrored, "docker.io/cognitora-tests/no-such-image:1")
    assert isinstance(error, RegistryUnreachable | ImageUnauthorized | ImageNotFound)
    assert "docker.io" in error.message
    assert "None of its mirrors had the image either." in error.message


async def test_unauthorized_then_with_credentials(
    settings: ImageSettings, private_registry: Registry, tmp_path: Path
) -> None:
    private_registry.push(HELLO, "hello:1", tmp_path / "layout")
    name = f"{private_registry.address}/hello:1"
    anonymous = with_registries(settings, insecure(private_registry.address))
    for configured in (anonymous, with_login(anonymous, private_registry.address, "wrong")):
        error = await failure(configured, name)
        assert isinstance(error, ImageUnauthorized)
        assert f"podman login {private_registry.address}" in error.message
    known = with_login(anonymous, private_registry.address, "secret")
    assert (await ImageStore(known).ensure(parse(name))).names == (name,)


async def test_unreachable(settings: ImageSettings) -> None:
    address = f"127.0.0.1:{free_port()}"
    error = await failure(with_registries(settings, insecure(address)), f"{address}/hello:1")
    assert isinstance(error, RegistryUnreachable)
    assert f"{address} does not answer" in error.message
    assert "bootstrap" not in error.message
    unknown = await failure(settings, "registry.invalid/hello:1")
    assert isinstance(unknown, RegistryUnreachable)


async def test_docker_io_out_of_reach_names_the_way_out(settings: ImageSettings) -> None:
    # A blocked address in its place makes the test the same on every machine.
    text = '[[registry]]\nlocation = "docker.io"\n[[registry]]\nprefix = "docker.io/library"\n'
    text += f'location = "127.0.0.1:{free_port()}/library"\ninsecure = true\n'
    error = await failure(with_registries(settings, text), "python:3.11-slim")
    assert isinstance(error, RegistryUnreachable)
    assert "'cognitora images bootstrap --stand-ins python'" in error.message


async def test_without_tls(settings: ImageSettings, registry: Registry) -> None:
    error = await failure(settings, f"{registry.address}/hello:1")
    assert isinstance(error, ImagePullFailed)
    assert "TLS" in error.message
    assert "insecure = true" in error.message


async def test_a_local_name_that_is_not_there(settings: ImageSettings) -> None:
    """An image of this machine only is never asked for elsewhere."""
    error = await failure(settings, "localhost/my-agent")
    assert isinstance(error, ImageNotFound)
    assert "podman build -t my-agent" in error.message
