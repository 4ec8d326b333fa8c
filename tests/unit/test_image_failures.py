import pytest

from cognitora_server.domain.images import (
    ImageError,
    ImageInvalid,
    ImageNotFound,
    ImagePullFailed,
    ImageReference,
    ImageUnauthorized,
    RegistryUnreachable,
)
from cognitora_server.host.images.failures import pull_failure

PING = 'pinging container registry r.io: Get "https://r.io/v2/": '


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("reading manifest 1 in r.io/x: manifest unknown: manifest unknown", ImageNotFound),
        ("reading manifest 1 in r.io/x: name unknown: repository name not known to registry", ImageNotFound),
        ("reading manifest 1 in r.io/x: unauthorized: authentication required", ImageUnauthorized),
        (
            "reading manifest 1 in docker.io/library/x: errors: denied: requested access to the resource is denied "
            "unauthorized: authentication required",
            ImageUnauthorized,
        ),
        (PING + "dial tcp: lookup r.io on 192.0.2.1:53: no such host", RegistryUnreachable),
        (PING + "dial tcp 192.0.2.1:443: connect: connection refused", RegistryUnreachable),
        (PING + "net/http: TLS handshake timeout", RegistryUnreachable),
        (PING + "EOF", RegistryUnreachable),
        ("reading manifest 1 in r.io/x: received unexpected HTTP status: 503 Service Unavailable", RegistryUnreachable),
        (PING + "x509: certificate signed by unknown authority", ImagePullFailed),
        (PING + "http: server gave HTTP response to HTTPS client", ImagePullFailed),
        ("reading manifest 1 in r.io/x: toomanyrequests: You have reached your pull rate limit", ImagePullFailed),
        ("choosing image instance: no image found in manifest list for architecture amd64", ImageInvalid),
        ("writing blob: write /x: no space left on device", ImagePullFailed),
        ("something new", ImagePullFailed),
    ],
)
def test_podmans_words_become_our_errors(said: str, kind: type[ImageError]) -> None:
    reference = ImageReference.parse("r.io/x:1")
    error = pull_failure(
        reference, f"Trying to pull r.io/x:1...\nError: initializing source docker://r.io/x:1: {said}\n"
    )
    assert type(error) is kind
    assert "r.io" in error.message
    assert error.details["registry"] == "r.io"
    assert "192.0.2.1:53" not in error.message


def test_names_are_no_reasons() -> None:
    reference = ImageReference.parse("r.io/unauthorized/x509:404")
    said = f"Error: initializing source docker://{reference}: {PING}dial tcp 192.0.2.1:443: i/o timeout"
    assert type(pull_failure(reference, said)) is RegistryUnreachable


def test_the_registry_decides_and_not_its_mirror() -> None:
    reference = ImageReference.parse("node:18-slim")
    error = pull_failure(
        reference,
        "Error: initializing source docker://node:18-slim: (Mirrors also failed: [m.io/library/node:18-slim: reading "
        "manifest 18-slim in m.io/library/node: manifest unknown]): docker.io/library/node:18-slim: " + PING + "EOF",
    )
    assert type(error) is RegistryUnreachable
    assert "None of its mirrors had the image either." in error.message
    assert "'cognitora images bootstrap --stand-ins node'" in error.message


def test_a_registrys_words_are_bounded_and_printable() -> None:
    error = pull_failure(ImageReference.parse("r.io/x"), "Error: \x1b[31m" + "a: b" * 9999 + "\u202e")
    assert error.message.isprintable()
    assert len(error.message) < 600
