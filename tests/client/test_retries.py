"""What is sent again, what is not, and how: against a real server that misbehaves."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import MakeClient
from tests.client.flaky import DROP, STALL, Answer, FlakyServer, error

import cognitora
from cognitora import _retry


@pytest.fixture
def flaky() -> Iterator[FlakyServer]:
    with FlakyServer() as running:
        yield running


@pytest.fixture
def containers(make_client: MakeClient, flaky: FlakyServer) -> Any:
    return make_client("cgk_key", flaky.base_url).containers


NOW = {"Retry-After": "0"}


@pytest.mark.parametrize("failure", [DROP, error(429, NOW), error(503, NOW), error(503)], ids=str)
@pytest.mark.parametrize("method", ["get_container", "cancel_container", "update_container", "execute_in_container"])
def test_what_passes_is_sent_again(containers: Any, flaky: FlakyServer, failure: Answer | str, method: str) -> None:
    flaky.script = [failure, failure]
    more: dict[str, list[Any]] = {"update_container": [60], "execute_in_container": [["true"]]}
    arguments = more.get(method, [])
    assert getattr(containers, method)("cnt_1", *arguments)["id"] == "cnt_1"
    first, *others = flaky.seen
    assert len(others) == 2
    assert {(one.method, one.path, one.body) for one in others} == {(first.method, first.path, first.body)}
    keys = {one.headers.get("Idempotency-Key") for one in flaky.seen}
    assert len(keys) == 1
    assert (keys == {None}) is (method != "execute_in_container")


def test_each_post_has_a_key_of_its_own(containers: Any, flaky: FlakyServer) -> None:
    for _ in range(2):
        containers.execute_in_container("cnt_1", ["true"])
    containers.execute_in_container("cnt_1", ["true"], idempotency_key="mine")
    keys = [one.headers["Idempotency-Key"] for one in flaky.seen]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_an_estimate_needs_no_key(containers: Any, flaky: FlakyServer) -> None:
    flaky.script = [DROP, Answer(body=b'{"estimated_credits": 1.5}')]
    assert containers.estimate_cost(1, 512).estimated_credits == 1.5
    assert ["Idempotency-Key" in one.headers for one in flaky.seen] == [False, False]


@pytest.mark.parametrize("key", ["", "k" * 256, "clé", "a\nb"])
def test_a_key_that_no_server_takes(containers: Any, flaky: FlakyServer, key: str) -> None:
    with pytest.raises(ValueError, match="idempotency_key must be 1 to 255 printable ASCII characters"):
        containers.execute_in_container("cnt_1", ["true"], idempotency_key=key)
    assert flaky.seen == []


@pytest.mark.parametrize("status", [400, 401, 402, 404, 409, 413, 418, 422, 500, 502, 504])
def test_what_would_come_again_is_not_sent_again(containers: Any, flaky: FlakyServer, status: int) -> None:
    flaky.script = [error(status)]
    with pytest.raises(cognitora.APIError) as caught:
        containers.execute_in_container("cnt_1", ["true"])
    assert caught.value.status_code == status
    assert len(flaky.seen) == 1


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (DROP, cognitora.APIConnectionError),
        (error(429, NOW), cognitora.RateLimitError),
        (error(503, NOW), cognitora.ServiceUnavailableError),
    ],
    ids=str,
)
def test_tries_are_bounded(
    make_client: MakeClient, flaky: FlakyServer, failure: Answer | str, kind: type[Exception]
) -> None:
    flaky.script = [failure] * 10
    containers = make_client("cgk_key", flaky.base_url, max_retries=2).containers
    with pytest.raises(kind):
        containers.get_container("cnt_1")
    assert len(flaky.seen) == 3


@pytest.mark.parametrize(
    "asked", ["61", format_datetime(datetime(2126, 1, 1, tzinfo=UTC), usegmt=True)], ids=["seconds", "date"]
)
def test_a_long_wait_is_the_callers(containers: Any, flaky: FlakyServer, asked: str) -> None:
    flaky.script = [error(429, {"Retry-After": asked})]
    with pytest.raises(cognitora.RateLimitError) as caught:
        containers.get_container("cnt_1")
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 61
    assert len(flaky.seen) == 1


def test_how_long_is_waited() -> None:
    broken = cognitora.APIConnectionError("it broke")
    for tried, most in ((1, 0.25), (2, 0.5), (3, 1.0), (20, 8.0)):
        waits = [_retry.wait_seconds(broken, tried, 100) for _ in range(50)]
        assert all(wait is not None and most / 2 <= wait <= most for wait in waits)
        assert len(set(waits)) > 1
    busy = cognitora.ServiceUnavailableError("busy", 503)
    busy.retry_after = 7.0
    wait = _retry.wait_seconds(busy, 1, 1)
    assert wait is not None
    assert 7 <= wait <= 7.25
    assert _retry.wait_seconds(busy, 2, 1) is None


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    seconds = _retry.retry_after(soon)
    assert seconds is not None
    assert 0 < seconds <= 100
    assert _retry.retry_after("1.5") == 1.5
    assert _retry.retry_after("-1") == 0
    assert _retry.retry_after("Mon, 01 Jan 2001 00:00:00 GMT") == 0
    assert _retry.retry_after("soon") is None
    assert _retry.retry_after(None) is None


def test_a_slow_server_is_not_asked_again(make_client: MakeClient, flaky: FlakyServer) -> None:
    flaky.script = [STALL]
    containers = make_client("cgk_key", flaky.base_url, 0.1).containers
    with pytest.raises(TimeoutError, match=r"did not answer within 0.1 s.*larger timeout") as caught:
        containers.create_container("image", 1, 512, 1)
    assert isinstance(caught.value, cognitora.APITimeoutError)
    assert len(flaky.seen) == 1


def test_a_command_is_waited_for_longer_than_the_timeout(
    make_client: MakeClient, flaky: FlakyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for half in ("_sync", "_async"):
        monkeypatch.setattr(f"cognitora.{half}.transport.PATIENCE_SECONDS", 0.1)
    flaky.script = [STALL] * 5
    containers = make_client("cgk_key", flaky.base_url, 0.1, max_retries=0).containers
    assert containers.execute_in_container("cnt_1", ["sleep", "1"])["id"] == "cnt_1"
    assert len(flaky.seen) == 6
    assert len({one.headers["Idempotency-Key"] for one in flaky.seen}) == 1


def test_a_file_is_sent_again_from_its_beginning(containers: Any, flaky: FlakyServer, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"whole" * 100_000)
    opened = io.BytesIO(b"__" + b"whole" * 100_000)
    opened.seek(2)
    for content in (local, opened, b"whole" * 100_000):
        flaky.script = [error(503, NOW)]
        containers.write_file("cnt_1", "/a b", content)
    assert [one.body for one in flaky.seen] == [b"whole" * 100_000] * 6
    assert {(one.method, one.path) for one in flaky.seen} == {
        ("PUT", "/api/v1/compute/containers/cnt_1/files?path=%2Fa+b")
    }


class Unseekable(io.BytesIO):
    """What comes out of a pipe."""

    def seekable(self) -> bool:
        return False


def test_a_stream_is_sent_once(containers: Any, flaky: FlakyServer) -> None:
    flaky.script = [error(503, NOW)]
    with pytest.raises(cognitora.ServiceUnavailableError):
        containers.write_file("cnt_1", "/a", Unseekable(b"once"))
    assert [one.body for one in flaky.seen] == [b"once"]
