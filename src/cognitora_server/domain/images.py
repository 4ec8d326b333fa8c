"""Images: how they are named, what they say about themselves, and what can go wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from cognitora_server.domain.errors import CognitoraError

DEFAULT_REGISTRY = "docker.io"
LOCAL_REGISTRY = "localhost"
"""The registry that podman gives to images built or imported on this machine."""

MAX_REFERENCE_LENGTH = 512
MAX_NAME_LENGTH = 255

_DOMAIN_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[0-9a-fA-F:]{{2,39}}\])(?::[0-9]{{1,5}})?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")

Origin = Literal["registry", "local", "stand-in"]


class ImageError(CognitoraError):
    """The image cannot be used."""

    code = "image_error"


class InvalidImageReference(ImageError):
    """The image's name is not one that a registry could hold."""

    code = "image_invalid"


class ImageInvalid(ImageError):
    """The image or archive is damaged, or not an image at all."""

    code = "image_invalid"


class ImageNotFound(ImageError):
    """There is no such image."""

    code = "image_not_found"


class ImagePullFailed(ImageError):
    """The image could not be pulled."""

    code = "image_pull_failed"


class ImageUnauthorized(ImageError):
    """The registry wants other credentials for this image."""

    code = "image_unauthorized"


class ImageTooLarge(ImageError):
    """The image is larger than this machine accepts."""

    code = "image_too_large"


class ImageInUse(ImageError):
    """The image is used by a container."""

    code = "image_in_use"


class RegistryUnreachable(ImageError):
    """The registry does not answer."""

    code = "registry_unreachable"


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A name that finds one image: registry, repository, and a tag or a digest (the digest decides)."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None
    short: bool = False
    """Written without a registry: an image of this machine (`localhost/…`) goes before docker.io's."""

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read a name as docker does (`python` is `docker.io/library/python:latest`).

        Raises `InvalidImageReference` with a sentence for the user.
        """
        if not text or len(text) > MAX_REFERENCE_LENGTH:
            raise InvalidImageReference(f"An image name has 1 to {MAX_REFERENCE_LENGTH} characters.")
        shown = _printable(text)
        rest, digest = _split_digest(text, shown)
        rest, tag = _split_tag(rest, shown)
        registry, repository, short = _split_registry(rest)
        _check_name(registry, repository, shown)
        if tag is None and digest is None:
            tag = "latest"
        return cls(registry, repository, tag, digest, short)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def candidates(self) -> tuple[str, ...]:
        """The full names this one may stand for on a machine, in the order they are tried."""
        if not self.short:
            return (str(self),)
        repository = self.repository.removeprefix("library/")
        return (f"{LOCAL_REGISTRY}/{repository}{self._suffix}", str(self))

    @property
    def is_local(self) -> bool:
        """No registry can be asked for it."""
        return self.registry == LOCAL_REGISTRY

    def __str__(self) -> str:
        return self.name + self._suffix

    @property
    def _suffix(self) -> str:
        # podman refuses a name with both; the digest says more than the tag.
        return f"@{self.digest}" if self.digest else f":{self.tag}"


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image says about how it wants to be run. All of it was written by strangers."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    working_dir: str = "/"
    user: str = ""
    """`name`, `uid`, `name:group` or `uid:gid`, as written; empty is root."""
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    architecture: str = ""
    """As Go names it: `amd64`, `arm64`."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that this machine holds."""

    id: str
    """64 hexadecimal digits: the configuration's digest. The same id is always the same content."""
    digest: str
    """The manifest's digest, `sha256:…`."""
    names: tuple[str, ...]
    """Full names with tag or digest; empty for one that lost its name to a newer build."""
    config: ImageConfig
    size_bytes: int
    """Unpacked, all layers."""
    created_at: datetime
    origin: Origin = "registry"
    """`local`: built or imported on this machine. `stand-in`: local, under the name of a registry's image."""

    @property
    def notice(self) -> str | None:
        """One sentence wherever the image is shown, if it is not the one that its name promises elsewhere."""
        if self.origin == "stand-in":
            return (
                "Stand-in: built on this machine from Debian packages under this name; "
                "it is not the image that the registry publishes."
            )
        if self.origin == "local":
            return "Built or imported on this machine; it comes from no registry."
        return None


def _split_digest(text: str, shown: str) -> tuple[str, str | None]:
    rest, at, digest = text.partition("@")
    if not at:
        return rest, None
    if not _DIGEST.fullmatch(digest):
        raise InvalidImageReference(f"{shown} has no valid digest after @ (sha256: and 64 hexadecimal digits).")
    return rest, digest


def _split_tag(text: str, shown: str) -> tuple[str, str | None]:
    head, slash, last = text.rpartition("/")
    name, colon, tag = last.partition(":")
    if not colon:
        return text, None
    if not _TAG.fullmatch(tag):
        raise InvalidImageReference(
            f"{shown} has no valid tag after its colon (1 to 128 letters, digits, dots, dashes, underscores)."
        )
    return head + slash + name, tag


def _split_registry(text: str) -> tuple[str, str, bool]:
    # Docker's rule: the first part is a registry if it could not be a user's name there.
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == LOCAL_REGISTRY or first != first.lower()):
        registry = DEFAULT_REGISTRY if first in ("index.docker.io", "registry-1.docker.io") else first
        if registry == DEFAULT_REGISTRY and "/" not in rest:
            rest = f"library/{rest}"
        return registry, rest, False
    return DEFAULT_REGISTRY, text if slash else f"library/{text}", True


def _check_name(registry: str, repository: str, shown: str) -> None:
    if not _REGISTRY.fullmatch(registry):
        raise InvalidImageReference(f"{shown} does not start with a valid registry name (host or host:port).")
    if len(registry) + 1 + len(repository) > MAX_NAME_LENGTH:
        raise InvalidImageReference(f"{shown} is longer than the {MAX_NAME_LENGTH} characters of an image name.")
    if not all(_COMPONENT.fullmatch(part) for part in repository.split("/")):
        raise InvalidImageReference(
            f"{shown} is not a valid image name: lower-case letters and digits, "
            "separated by single dots, dashes, underscores or slashes, as in python:3.11."
        )


def _printable(text: str) -> str:
    # repr keeps control characters, line breaks and bidirectional marks out of messages and terminals.
    return ascii(text if len(text) <= 80 else text[:77] + "...")
