"""The parser of request bodies: plain JSON strictly, people's JSON with comments."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognitora_server.api.bodies import parse_json
from cognitora_server.api.relaxed_json import plain_json
from cognitora_server.domain.errors import InvalidRequest

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["//", "/*", "*/", '"', "\\", ",]", ",}", "http://x", "\n", '\\"//']
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
COMMENTS = st.sampled_from(["", " ", "\n", '// a "comment", with ] } */\n', '/* a "comment" // ] } */'])


@given(VALUES)
@settings(max_examples=200)
def test_valid_json_comes_out_as_it_went_in(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert plain_json(text.encode()) == text.encode()
        assert parse_json(text.encode()) == value


@given(VALUES, st.data())
@settings(max_examples=200)
def test_comments_and_trailing_commas_anywhere_change_nothing(value: Any, data: st.DataObject) -> None:
    text = write(value, lambda: data.draw(COMMENTS), lambda: data.draw(st.booleans()))
    assert parse_json(text.encode()) == value


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:/*\\\n a1', max_size=60).map(str.encode))
@settings(max_examples=300)
def test_whatever_comes_is_parsed_or_refused(raw: bytes) -> None:
    try:
        parse_json(raw)
    except InvalidRequest as error:
        assert error.message


def write(value: Any, comment: Any, trailing: Any) -> str:
    """Write JSON with comments between all tokens and commas after the last items."""
    if isinstance(value, dict | list) and value:
        items = (
            [f"{write(name, comment, trailing)}:{write(item, comment, trailing)}" for name, item in value.items()]
            if isinstance(value, dict)
            else [write(item, comment, trailing) for item in value]
        )
        inner = ",".join(items) + ("," if trailing() else "") + comment()
        inner = f"{{{inner}}}" if isinstance(value, dict) else f"[{inner}]"
    else:
        inner = json.dumps(value, ensure_ascii=False)
    return f"{comment()}{inner}{comment()}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1 // one\n}', {"a": 1}),
        ('{"a": 1} // one', {"a": 1}),
        ('/* x */{"a"/**/:/***/1}', {"a": 1}),
        ('{"url": "http://x/*y*/", // z\n}', {"url": "http://x/*y*/"}),
        (r'{"a": "\"// no", }', {"a": '"// no'}),
        ('{"a": [1, 2, /* three */],}', {"a": [1, 2]}),
        ('{"program": "a\n\tb"}', {"program": "a\n\tb"}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ("{}//", {}),
    ],
)
def test_people_write(text: str, value: Any) -> None:
    assert parse_json(text.encode()) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no body"),
        (" \n", "no body"),
        ("{", "not valid JSON"),
        ("[,]", "not valid JSON"),
        ('{"a": 1,, }', "not valid JSON"),
        ("{,}", "not valid JSON"),
        ('{"a": }', "not valid JSON"),
        ('{"a": 1 /* open', "not valid JSON"),
        ("{'a': 1}", "not valid JSON"),
        ('{"a": 01}', "not valid JSON"),
        ('{"a": "\x01"}', "not valid JSON"),
        ('{"a": 1, "a": 2}', "a is given twice"),
        ('{"a": [0, {"b": 1, "b": 1}]} // x', "a[1].b is given twice"),
        ('{"a": {"b": NaN}}', "a.b must be a finite number, not NaN"),
        ('{"a": -Infinity}', "a must be a finite number, not -Infinity"),
        ('{"a": "x\\ud800y"}', "a must be valid Unicode"),
        ('{"a\\udc00": 1}', "its name holds half"),
        ('{"a": ' + "9" * 5000 + "}", "a is too large a number"),
        ("[" * 100_000, "recursion limit"),
        ('{"a":' * 5_000, "recursion limit"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_json(text.encode())
    assert said in caught.value.message


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        parse_json(b'{"a": "\xff"}')


@pytest.mark.parametrize("unit", ['"', "/*", "//", "[,", ", ", '\\"', '"\\', "/", '"a" ', ",\n", "[{"])
def test_the_time_is_linear_in_the_length(unit: str) -> None:
    def seconds(size: int) -> float:
        raw = ("{" + unit * (size // len(unit))).encode()
        started = time.process_time()
        with pytest.raises(InvalidRequest):
            parse_json(raw)
        return time.process_time() - started

    # A quadratic one would take hours for this.
    assert seconds(1_000_000) < 3
