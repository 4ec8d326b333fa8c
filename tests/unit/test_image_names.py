import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognitora_server.domain.images import ImageReference, InvalidImageReference

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
        ("docker.io/python", "docker.io/library/python:latest"),
        ("index.docker.io/library/python", "docker.io/library/python:latest"),
        ("ghcr.io/a/b/c:1", "ghcr.io/a/b/c:1"),
        ("localhost/my-agent", "localhost/my-agent:latest"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("registry:5000/a:b", "registry:5000/a:b"),
        ("[::1]:5000/a", "[::1]:5000/a:latest"),
        (f"python@{DIGEST}", f"docker.io/library/python@{DIGEST}"),
        (f"python:3.11@{DIGEST}", f"docker.io/library/python@{DIGEST}"),
        ("u/a__b.c-d---e", "docker.io/u/a__b.c-d---e:latest"),
    ],
)
def test_names_are_read_as_docker_does(text: str, full: str) -> None:
    reference = ImageReference.parse(text)
    assert str(reference) == full
    assert str(ImageReference.parse(full)) == full


def test_short_names_mean_this_machine_first() -> None:
    assert ImageReference.parse("my-agent").candidates == (
        "localhost/my-agent:latest",
        "docker.io/library/my-agent:latest",
    )
    assert ImageReference.parse("me/agent:1").candidates == ("localhost/me/agent:1", "docker.io/me/agent:1")
    assert ImageReference.parse("docker.io/library/python").candidates == ("docker.io/library/python:latest",)
    assert ImageReference.parse("localhost/x").is_local


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "Python", "a//b", "/a", "a/", "a:", ":1", "a@", "a:b:c", "a b", "a\n", "-a", "a-", "--all"),
        *("../a", "a/../b", "a@sha256:0a", "http://a/b", "a:.tag", "a:" + "t" * 129, "x" * 513, "a" * 256),
        *("host_name.io/a", "-x.io/a", "a.io:port/b", "é", "a\0", f"a@{DIGEST.upper()}", "docker://a", "dir:/etc"),
    ],
)
def test_what_is_no_name_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidImageReference) as caught:
        ImageReference.parse(text)
    assert caught.value.code == "image_invalid"
    assert caught.value.message.endswith(".")
    assert caught.value.message.isprintable()


@given(st.text(max_size=600))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        reference = ImageReference.parse(text)
    except InvalidImageReference as error:
        assert error.message.isprintable()
        assert len(error.message) < 800
    else:
        assert ImageReference.parse(str(reference)) == ImageReference.parse(str(reference))
        assert not str(reference).startswith("-")
