"""From podman's words to our errors. Podman has no codes for why a pull failed: only sentences tell."""

from __future__ import annotations

import re

from cognitora_server.domain.images import (
    DEFAULT_REGISTRY,
    ImageError,
    ImageInvalid,
    ImageNotFound,
    ImagePullFailed,
    ImageReference,
    ImageUnauthorized,
    RegistryUnreachable,
)
from cognitora_server.host.images.podman import last_line
from cognitora_server.host.images.recipes import RECIPES

_MIRRORS = re.compile(r"\(Mirrors also failed: .*\]\): ")
_OWN_WORDS = re.compile(r'"https?://[^"]*"|docker://\S+|reading manifest \S+ in \S+')
_RESOLVER = re.compile(r"(?<=\S) on \S+:53(?=:)")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")

# The order matters: a registry that hides what it has says "denied" in the same breath as "does not exist",
# and a failed TLS handshake is reported as a failed connection.
_TLS = ("x509:", "tls: ", "http response to https client", "certificate signed by unknown")
_UNAUTHORIZED = (
    "unauthorized",
    "authentication required",
    "denied",
    "invalid username/password",
    "forbidden",
)
_TOO_MANY = ("toomanyrequests", "too many requests", "rate limit")
_ARCHITECTURE = ("no image found in manifest list", "no image found in image index")
_NOT_FOUND = ("manifest unknown", "name unknown", "not known to registry", "404 (not found)", "404 page")
_UNREACHABLE = (
    "no such host",
    "connection refused",
    "connection reset",
    "i/o timeout",
    "handshake timeout",
    "deadline exceeded",
    "client.timeout",
    "network is unreachable",
    "no route to host",
    "temporary failure in name resolution",
    "server misbehaving",
    "proxyconnect",
    "dial tcp",
    "unexpected eof",
    "registry 50",
    "http status: 50",
    "statuscode: 50",
    "pinging container registry",
)
_DISK = ("no space left on device", "disk quota exceeded")
_DAMAGED = ("unexpected end", "invalid tar header", "gzip: invalid", "digest did not match", "does not match")


def pull_failure(reference: ImageReference, stderr: str) -> ImageError:
    """The error for a pull that podman gave up: which registry, why, and what to do."""
    said = _UNPRINTABLE.sub("?", last_line(stderr, limit=2000))
    # With mirrors podman reports each of them first; the registry itself comes last, and decides.
    reason = _RESOLVER.sub("", _MIRRORS.sub("", said))
    # Names and addresses are no reasons: an image may well be called "unauthorized".
    words = _OWN_WORDS.sub("", reason).lower()
    details = {"registry": reference.registry, "reference": str(reference), "reason": reason[-500:]}
    error, sentence = _judge(words, reference)
    mirrors = " None of its mirrors had the image either." if _MIRRORS.search(said) else ""
    return error(f"{sentence}{mirrors} ({_cause(reason)})", **details)


def timed_out(reference: ImageReference, seconds: float) -> ImageError:
    """The error for a pull that took too long."""
    return ImagePullFailed(
        f"{reference} was not pulled within {seconds:g} seconds; what had arrived was removed.",
        registry=reference.registry,
        reference=str(reference),
    )


def bootstrap_hint(reference: ImageReference) -> str:
    """What to do without docker.io, for an image that would come from there; empty for others."""
    if reference.registry != DEFAULT_REGISTRY:
        return ""
    short = f"{reference.repository.removeprefix('library/')}:{reference.tag}"
    for recipe in RECIPES.values():
        if short in recipe.stand_ins:
            return f" 'cognitora images bootstrap --stand-ins {recipe.name}' builds a stand-in for it."
    return " 'cognitora images bootstrap' builds base images without a registry."


def _judge(words: str, reference: ImageReference) -> tuple[type[ImageError], str]:
    registry = reference.registry
    for needles, error, sentence in (
        (_DISK, ImagePullFailed, f"The disk is full: {reference} was not pulled."),
        (
            _TLS,
            ImagePullFailed,
            f"The TLS connection to {registry} failed for {reference}. Give its certificate authority in "
            f"/etc/containers/certs.d/{reference.registry}/, or, for a registry without TLS, set "
            "'insecure = true' for it in registries.conf.",
        ),
        (
            _TOO_MANY,
            ImagePullFailed,
            f"{registry} limits how often images are pulled, and refused {reference} for now. "
            f"Log in ('podman login {reference.registry}') or try later.",
        ),
        (
            _UNAUTHORIZED,
            ImageUnauthorized,
            f"{registry} refused access to {reference}: it does not exist there, or credentials are missing "
            f"or wrong. Log in on this machine with 'podman login {reference.registry}'.",
        ),
        (_ARCHITECTURE, ImageInvalid, f"{reference} is not published for this machine's processor."),
        (_NOT_FOUND, ImageNotFound, f"{registry} has no image {reference}. Check its name and tag."),
        (
            _UNREACHABLE,
            RegistryUnreachable,
            f"{registry} does not answer, so {reference} cannot be pulled. "
            f"Check the network, or name a mirror in registries.conf.{bootstrap_hint(reference)}",
        ),
        (_DAMAGED, ImageInvalid, f"What {registry} sent for {reference} is damaged."),
    ):
        if any(needle in words for needle in needles):
            return error, sentence
    return ImagePullFailed, f"{reference} could not be pulled from {registry}."


def _cause(reason: str) -> str:
    """The innermost cause, the end of Go's nested errors; at most 200 characters."""
    parts = reason.split(": ")
    return ": ".join(parts[-2:])[-200:]
