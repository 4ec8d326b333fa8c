"""Errors: the right class, a sentence that helps, and everything that the server said."""

from __future__ import annotations

import io
import socket
from typing import Any

import pytest
from tests.client.conftest import SMALL, MakeClient
from tests.client.flaky import Answer, FlakyServer, error
from tests.servers import RunningServer

import cognitora


def test_a_wrong_key(make_client: MakeClient, server: RunningServer) -> None:
    with pytest.raises(cognitora.AuthenticationError, match="key") as caught:
        make_client("cgk_wrong", server.base_url).containers.list_containers()
    assert (caught.value.status_code, caught.value.code) == (401, "unauthorized")


def test_what_is_not_there(client: Any) -> None:
    with pytest.raises(cognitora.NotFoundError, match="cnt_abc123def456") as caught:
        client.containers.get_container("cnt_abc123def456")
    assert caught.value.status_code == 404
    with pytest.raises(cognitora.NotFoundError):
        client.containers.get_container("../../ready?")


def test_a_request_that_cannot_be_done_names_the_field(client: Any) -> None:
    with pytest.raises(cognitora.InvalidRequestError) as caught:
        client.containers.create_container(**{**SMALL, "memory_mb": 1}, max_cost_credits=1)
    found = caught.value
    assert str(found) == "memoryMb must be at least 64."
    assert found.fields == {"memoryMb": "must be at least 64"}
    assert (found.status_code, found.code) == (422, "invalid_request")
    assert found.response_data is not None
    assert found.response_data["error"] == str(found)
    assert found.request_id == found.response_data["request_id"]
    assert found.__notes__ == [f"request id: {found.request_id}"]


def test_a_command_in_what_has_ended(client: Any) -> None:
    created = client.containers.create_persistent_container(**SMALL)
    client.containers.cancel_container(created.id)
    with pytest.raises(cognitora.ConflictError, match="ended"):
        client.containers.execute_in_container(created.id, ["true"])
    with pytest.raises(cognitora.ConflictError, match="ended"):
        client.containers.update_container(created.id, 5)


KINDS = {
    400: cognitora.InvalidRequestError,
    401: cognitora.AuthenticationError,
    402: cognitora.PaymentRequiredError,
    404: cognitora.NotFoundError,
    409: cognitora.ConflictError,
    413: cognitora.InvalidRequestError,
    418: cognitora.APIError,
    422: cognitora.InvalidRequestError,
    429: cognitora.RateLimitError,
    500: cognitora.ServerError,
    503: cognitora.ServiceUnavailableError,
}


def test_each_status_has_its_class(make_client: MakeClient) -> None:
    with FlakyServer() as flaky:
        containers = make_client("cgk_key", flaky.base_url, max_retries=0).containers
        for status, kind in KINDS.items():
            flaky.script = [error(status, details={"why": "so"})]
            with pytest.raises(cognitora.APIError, match=r"It is so\.") as caught:
                containers.get_container("cnt_1")
            found = caught.value
            assert type(found) is kind
            assert (found.status_code, found.code, found.request_id) == (status, "so", "req_1")
            assert found.details == {"why": "so"}


@pytest.mark.parametrize("status", [200, 404, 502])
@pytest.mark.parametrize("body", [b"<html>\n Welcome </html>", b"[1]", b"\xff"])
def test_an_answer_of_another_program(make_client: MakeClient, status: int, body: bytes) -> None:
    with FlakyServer() as flaky:
        flaky.script = [Answer(status, body)]
        with pytest.raises(cognitora.APIError, match=f"HTTP {status} and not as a Cognitora server") as caught:
            make_client("cgk_key", flaky.base_url, max_retries=0).containers.get_container("cnt_1")
        assert flaky.base_url in str(caught.value)
        assert caught.value.status_code == status


def test_no_server(make_client: MakeClient) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(cognitora.APIConnectionError, match=f"{url} cannot be reached .*Is it running"):
            make_client("cgk_key", url, max_retries=1).containers.get_container("cnt_1")


def test_an_empty_id_is_refused_before_anything_is_sent(make_client: MakeClient) -> None:
    with FlakyServer() as flaky, pytest.raises(ValueError, match="The id is empty"):
        make_client("cgk_key", flaky.base_url).containers.cancel_container("")
    assert flaky.seen == []


@pytest.mark.parametrize("content", [io.StringIO("text"), 5, None])
def test_what_is_no_content_is_refused_before_anything_is_sent(make_client: MakeClient, content: Any) -> None:
    with FlakyServer() as flaky, pytest.raises(TypeError, match="opened with 'rb', not"):
        make_client("cgk_key", flaky.base_url).containers.write_file("cnt_1", "/a", content)
    assert flaky.seen == []


def test_the_code_interpreter_says_that_it_is_not_there(make_client: MakeClient) -> None:
    client = make_client("cgk_key")
    with pytest.raises(cognitora.NotSupportedError, match=r"code_interpreter\.run_python is not in this version"):
        client.code_interpreter.run_python("1")
    with pytest.raises(NotImplementedError):
        cognitora.AsyncCodeInterpreter("cgk_key").execute("1")


def test_errors_of_the_published_client_can_be_made() -> None:
    made = cognitora.APIError("text", 418, {"error": "text", "code": "teapot"})
    assert (str(made), made.status_code, made.code) == ("text", 418, "teapot")
    assert cognitora.RateLimitError("text").response_data is None
