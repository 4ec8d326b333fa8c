"""Base images without a registry: built from Debian packages of the machine's own package sources."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cognitora_server.domain.images import ImageError, ImageNotFound
from cognitora_server.host.images.apt_sources import debian_sources
from cognitora_server.host.images.podman import Podman, last_line, run
from cognitora_server.host.images.recipes import (
    COMMON_AFTER,
    COMMON_EXCLUDED,
    DEFAULT_NAMES,
    LABEL_LOCAL,
    LABEL_RECIPE,
    RECIPES,
    SUITE,
    Recipe,
    find_recipe,
)
from cognitora_server.host.images.scratch import exclusive, scratch_directory, sweep
from cognitora_server.host.images.settings import ImageSettings

BUILD_TIMEOUT_SECONDS = 1200.0
STAND_IN_PREFIX = "docker.io/library/"

StepListener = Callable[[str, str], None]
"""Told the recipe (`python:3.11`) and what happens to it, as a short phrase."""


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What became of one recipe."""

    recipe: str
    image_name: str
    built: bool
    """False: the same recipe's image was there already."""
    stand_ins: tuple[str, ...] = ()
    """Names now given to it at docker.io/library."""
    kept: tuple[str, ...] = ()
    """Names left alone, because an image that is not ours holds them."""


async def bootstrap(
    settings: ImageSettings,
    names: Sequence[str] = (),
    *,
    stand_ins: bool = False,
    rebuild: bool = False,
    on_step: StepListener | None = None,
) -> list[Bootstrapped]:
    """Build the named base images (by default `debian` and `python`), as root; 15 to 60 seconds each.

    What is built already from the same recipe is left alone unless `rebuild`. With `stand_ins` the built
    images also get the names under which docker.io has such images, except names that another image holds.
    Raises `ImageNotFound` for an unknown name before anything is built, `ImageError` when a build fails.
    Safe to run several times at once, and to interrupt: nothing half-built remains.
    """
    recipes = _chosen(names)
    tell = on_step or (lambda recipe, step: None)
    podman = Podman(settings)
    results = []
    async with exclusive(settings.scratch_dir.parent / "bootstrap.lock"):
        await asyncio.to_thread(sweep, settings)
        for recipe in recipes:
            built = rebuild or await _recipe_of(podman, recipe.image_name) != recipe.fingerprint
            if built:
                await _build(settings, podman, recipe, tell)
            tagged, kept = await _tag_stand_ins(podman, recipe) if stand_ins else ((), ())
            tell(recipe.key, "built" if built else "already there")
            results.append(Bootstrapped(recipe.key, recipe.image_name, built, tagged, kept))
    return results


def _chosen(names: Iterable[str]) -> list[Recipe]:
    chosen: dict[str, Recipe] = {}
    for name in list(names) or DEFAULT_NAMES:
        recipe = find_recipe(name)
        if recipe is None:
            known = ", ".join(each.key for each in RECIPES.values())
            raise ImageNotFound(f"There is no base image {name!a} to build. These can be built: {known}.")
        chosen[recipe.key] = recipe
    return list(chosen.values())


async def _build(settings: ImageSettings, podman: Podman, recipe: Recipe, tell: StepListener) -> None:
    with scratch_directory(settings, f"bootstrap-{recipe.name}") as scratch:
        tell(recipe.key, "installing packages")
        archive = await _debootstrap(settings, scratch, recipe)
        tell(recipe.key, "importing")
        await _import(podman, recipe, archive, scratch)


async def _debootstrap(settings: ImageSettings, scratch: Path, recipe: Recipe) -> Path:
    archive = scratch / "rootfs.tar"
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--skip=output/dev",
        *(f"--dpkgopt=path-exclude={path}" for path in (*COMMON_EXCLUDED, *recipe.excluded)),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        *([f"--include={','.join(recipe.packages)}"] if recipe.packages else []),
        f"--essential-hook={_script(scratch / 'before.sh', recipe.before)}",
        f"--customize-hook={_script(scratch / 'after.sh', _after(scratch, recipe))}",
        SUITE,
        str(archive),
        *_mirror(scratch),
    ]
    temporary = scratch / "tmp"
    temporary.mkdir(mode=0o711)
    environment = {**_clean_environment(), "TMPDIR": str(temporary)}
    done = await run(command, timeout=BUILD_TIMEOUT_SECONDS, environment=environment)
    if done.returncode != 0:
        log = settings.scratch_dir.parent / f"bootstrap-{recipe.name}.log"
        log.write_text(done.stderr, encoding="utf-8")
        raise ImageError(f"Building {recipe.key} failed: {_reason(done.stderr)}. The whole story: {log}")
    return archive


def _mirror(scratch: Path) -> list[str]:
    sources = debian_sources(SUITE)
    if not sources:
        return []  # mmdebstrap then asks Debian's own servers.
    path = scratch / "debian.list"
    path.write_text(sources, encoding="utf-8")
    return [str(path)]


def _after(scratch: Path, recipe: Recipe) -> str:
    added = scratch / "files"
    added.mkdir()
    for file in recipe.files:
        path = added / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
        path.chmod(file.mode)
    return f'cp -r --preserve=mode {shlex.quote(str(added))}/. "$1/"\n{recipe.after}\n{COMMON_AFTER}'


def _script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\nset -eu\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def _clean_environment() -> dict[str, str]:
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
    }


def _reason(stderr: str) -> str:
    """The first error that dpkg, apt or mmdebstrap reports; the last line when there is none."""
    marked = [line for line in stderr.splitlines() if line.startswith(("E: ", "dpkg: error "))]
    return last_line(marked[0] if marked else stderr)


async def _import(podman: Podman, recipe: Recipe, archive: Path, scratch: Path) -> None:
    changes = [argument for line in recipe.changes() for argument in ("--change", line)]
    message = f"Built by cognitora from Debian {SUITE} packages"
    done = await podman.run(
        *("import", "--quiet", "--message", message, *changes, str(archive), recipe.image_name),
        timeout=BUILD_TIMEOUT_SECONDS,
        environment={"TMPDIR": str(scratch)},
    )
    if done.returncode != 0:
        raise ImageError(f"podman could not import {recipe.key}: {last_line(done.stderr)}")


async def _tag_stand_ins(podman: Podman, recipe: Recipe) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tagged, kept = [], []
    for name in (f"{STAND_IN_PREFIX}{short}" for short in recipe.stand_ins):
        labels = await _labels(podman, name)
        if labels is not None and labels.get(LABEL_LOCAL) != "true":
            kept.append(name)
            continue
        await podman.run("tag", recipe.image_name, name)
        tagged.append(name)
    return tuple(tagged), tuple(kept)


async def _recipe_of(podman: Podman, name: str) -> str | None:
    return (await _labels(podman, name) or {}).get(LABEL_RECIPE)


async def _labels(podman: Podman, name: str) -> dict[str, str] | None:
    """The labels of the image that holds exactly this name; None if none does."""
    exists = await podman.run("image", "exists", name)
    if exists.returncode != 0:
        return None
    inspected: list[dict[str, Any]] = await podman.json("image", "inspect", name)
    return inspected[0].get("Labels") or {}
