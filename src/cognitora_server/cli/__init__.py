"""The command line: `cognitora serve`, `doctor`, `keys`, `accounts`, `images`."""

from __future__ import annotations

import sys

import typer
from sqlalchemy.exc import SQLAlchemyError

from cognitora_server import __version__
from cognitora_server.domain.errors import CognitoraError

from . import accounts, audit, doctor, images, keys, serve
from .options import images_in_use, images_settings, remember_settings


def _images_app() -> typer.Typer:
    sub = images.images_app(images_settings, images_in_use)
    sub.callback()(remember_settings)
    return sub


app = typer.Typer(
    name="cognitora",
    help="Sealed computers for AI agents, on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)
app.command("audit")(audit.audit)
app.add_typer(keys.app, name="keys")
app.add_typer(accounts.app, name="accounts")
app.add_typer(_images_app(), name="images")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cognitora {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Take what stands before the command."""


def main() -> None:
    """Run the command line. Errors are one sentence on standard error and exit code 1."""
    try:
        app()
    except CognitoraError as error:
        _fail(error.message)
    except PermissionError as error:
        _fail(f"{error}. Run it as root, or name another --data-dir.")
    except OSError as error:
        _fail(f"{error}.")
    except SQLAlchemyError as error:
        _fail(f"The database cannot be used: {str(error).splitlines()[0]}")


def _fail(sentence: str) -> None:
    typer.secho(f"cognitora: {sentence}", err=True, fg=typer.colors.RED)
    sys.exit(1)
