"""What the list says of networking is true: those examples are refused, and for that reason alone."""

from __future__ import annotations

import pytest

from cognitora import Cognitora, InvalidRequestError
from tests.examples.documentation import example
from tests.examples.listing import LIST, NETWORKING, TAKEN_APART
from tests.examples.users import User

WAITING = [each for each in LIST if NETWORKING in each.waits_for]
PYTHON = [each.title for each in WAITING if each.language == "python"]
CURL = [
    each.title
    for each in WAITING
    if each.note != TAKEN_APART and each.language == "bash" and example(each.title).text.startswith("curl")
]


def test_there_are_examples() -> None:
    assert (len(PYTHON), len(CURL)) == (3, 4)


@pytest.mark.parametrize("title", PYTHON)
def test_python(user: User, title: str) -> None:
    with Cognitora(api_key=user.key, base_url=user.base_url) as client, pytest.raises(InvalidRequestError) as caught:
        user.python(example(title), client=client)
    assert caught.value.code == "networking_unavailable"


@pytest.mark.parametrize("title", CURL)
def test_curl(user: User, title: str) -> None:
    assert user.answer(example(title).text)["code"] == "networking_unavailable"
