"""`cognitora images`: the images of this machine, on the command line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cognitora_server.domain.images import Image, ImageReference
from cognitora_server.host.images import ImageSettings, ImageStore, PullProgress, bootstrap
from cognitora_server.host.images.recipes import DEFAULT_NAMES, RECIPES

SettingsSource = Callable[[], ImageSettings]
InUseSource = Callable[[], Collection[str]]

_KNOWN = ", ".join(recipe.key for recipe in RECIPES.values())

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def images_app(settings: SettingsSource, in_use: InUseSource = tuple) -> typer.Typer:
    """The sub-application; `settings` and `in_use` (ids of images that containers use) are asked when needed."""
    app = typer.Typer(
        help="The images of this machine. They lie in podman's own storage: what 'podman build' or "
        "'podman pull' (as root) brought there can be used at once.",
        no_args_is_help=True,
    )
    _add_views(app, settings)
    _add_sources(app, settings)
    _add_removals(app, settings, in_use)
    return app


def _add_views(app: typer.Typer, settings: SettingsSource) -> None:
    @app.command("list")
    def list_images(as_json: JsonOption = False) -> None:
        """List all images, the newest first."""
        images = asyncio.run(ImageStore(settings()).list())
        if as_json:
            print(json.dumps([_as_json(image) for image in images], indent=2))
        else:
            _console().print(_table(images))

    @app.command("df")
    def df(as_json: JsonOption = False) -> None:
        """Show how much space images take, and how much is left."""
        usage = asyncio.run(ImageStore(settings()).disk_usage())
        if as_json:
            print(json.dumps(asdict(usage)))
        else:
            _console().print(
                f"{usage.images} images take {decimal(usage.image_bytes)}; {decimal(usage.free_bytes)} are free."
            )


def _add_sources(app: typer.Typer, settings: SettingsSource) -> None:
    @app.command("pull")
    def pull(
        reference: Annotated[str, typer.Argument(metavar="REF", help="For example python:3.11.")],
    ) -> None:
        """Pull an image, unless it is here already.

        Registries, mirrors and credentials are podman's: see containers-registries.conf(5) and podman-login(1).
        """
        image = asyncio.run(_pull(settings(), reference))
        _say_image(image)

    @app.command("import")
    def import_file(
        file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, resolve_path=True)],
        name: Annotated[str | None, typer.Option(help="Name for the image, such as my-agent:1.")] = None,
    ) -> None:
        """Import a file: from 'docker save', 'podman save', an OCI archive, or a plain tar of a root."""
        image = asyncio.run(_import(settings(), file, name))
        _say_image(image)

    @app.command("bootstrap")
    def bootstrap_images(
        names: Annotated[
            list[str] | None,
            typer.Argument(metavar="[NAME]...", help=f"Default: {' and '.join(DEFAULT_NAMES)}."),
        ] = None,
        stand_ins: Annotated[
            bool, typer.Option("--stand-ins", help="Also give them the names that docker.io has such images under.")
        ] = False,
        rebuild: Annotated[bool, typer.Option("--rebuild", help="Build again what is built already.")] = False,
    ) -> None:
        """Build base images from Debian packages, without any registry. Needs root and mmdebstrap."""
        console = _console()
        done = asyncio.run(
            bootstrap(
                settings(),
                names or (),
                stand_ins=stand_ins,
                rebuild=rebuild,
                on_step=lambda recipe, step: console.print(f"{recipe}: {step}"),
            )
        )
        for result in done:
            for stand_in in result.stand_ins:
                console.print(f"{stand_in} now means {result.image_name} on this machine")
            for kept in result.kept:
                console.print(f"{kept} was left alone: another image holds that name")

    bootstrap_images.__doc__ = f"{bootstrap_images.__doc__}\n\nNames: {_KNOWN}."


def _add_removals(app: typer.Typer, settings: SettingsSource, in_use: InUseSource) -> None:
    @app.command("rm")
    def remove(
        references: Annotated[list[str], typer.Argument(metavar="REF...", help="Names or ids.")],
    ) -> None:
        """Remove images by name or id. A name goes alone while the image has others."""

        used = in_use()

        async def work() -> None:
            store = ImageStore(settings())
            for reference in references:
                await store.find(reference)  # Unlike a program, a person wants to hear of a wrong name.
                await store.remove(reference, used)

        asyncio.run(work())

    @app.command("prune")
    def prune(
        everything: Annotated[
            bool, typer.Option("--all", help="Also images that have a name, if no container uses them.")
        ] = False,
    ) -> None:
        """Remove images without a name, which newer builds left behind."""
        removed = asyncio.run(ImageStore(settings()).prune(in_use(), unnamed_only=not everything))
        freed = decimal(sum(image.size_bytes for image in removed))
        _console().print(f"Removed {len(removed)} images of {freed}; layers that others share stay.")


async def _pull(settings: ImageSettings, text: str) -> Image:
    reference = ImageReference.parse(text)
    if not sys.stderr.isatty():
        return await ImageStore(settings).ensure(reference, _LineProgress(str(reference)))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("connecting", total=None, detail="")

        def show(progress: PullProgress) -> None:
            detail = f"{progress.layers_done}/{progress.layers_total} layers, {decimal(progress.bytes_done)}"
            bar.update(
                task,
                description=progress.phase,
                total=progress.layers_total or None,
                completed=progress.layers_done,
                detail=detail,
            )

        return await ImageStore(settings).ensure(reference, show)


class _LineProgress:
    """A line on standard error for each phase and layer: for logs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last = ""

    def __call__(self, progress: PullProgress) -> None:
        line = f"{self._name}: {progress}"
        if line != self._last:
            self._last = line
            print(line, file=sys.stderr)


async def _import(settings: ImageSettings, file: Path, name: str | None) -> Image:
    # As with 'podman build -t', a name without a registry is one of this machine.
    reference = ImageReference.parse(name) if name else None
    if reference and reference.short:
        reference = ImageReference.parse(reference.candidates[0])
    return await ImageStore(settings).import_archive(file, reference)


def _console() -> Console:
    return Console(soft_wrap=not sys.stdout.isatty())


def _say_image(image: Image) -> None:
    console = _console()
    console.print(f"{image.id[:12]}  {escape(', '.join(image.names))}  {decimal(image.size_bytes)}")
    if image.notice:
        console.print(escape(image.notice))


def _table(images: Sequence[Image]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("IMAGE", overflow="fold", ratio=1)
    table.add_column("ID", no_wrap=True)
    table.add_column("SIZE", no_wrap=True, justify="right")
    table.add_column("CREATED", no_wrap=True)
    table.add_column("FROM", no_wrap=True)
    for image in images:
        names = "\n".join(_short(name) for name in image.names) or "<no name>"
        table.add_row(escape(names), image.id[:12], decimal(image.size_bytes), _age(image.created_at), image.origin)
    return table


def _short(name: str) -> str:
    """As people write it; other registries' names have to be written in full."""
    return name.removeprefix("docker.io/library/").removeprefix("docker.io/")


def _age(moment: datetime) -> str:
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _as_json(image: Image) -> dict[str, Any]:
    config = image.config
    return {
        "id": image.id,
        "digest": image.digest,
        "names": list(image.names),
        "sizeBytes": image.size_bytes,
        "createdAt": image.created_at.isoformat(),
        "origin": image.origin,
        "notice": image.notice,
        "architecture": config.architecture,
        "entrypoint": list(config.entrypoint),
        "cmd": list(config.cmd),
        "workingDir": config.working_dir,
        "user": config.user,
        "volumes": list(config.volumes),
        "labels": dict(config.labels),
    }
