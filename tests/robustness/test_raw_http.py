"""What no client library sends: bytes on a connection to a real server. It answers in its one form, and lives on."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.servers import RunningServer

COMPUTE = b"/api/v1/compute"
CREATE = {"image": "localhost/no-such-image", "cpuCores": 1, "memoryMb": 64, "maxCostCredits": 1}
_SECONDS = 30.0


class Answer:
    """One answer: status, headers, body."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        assert re.match(rb"HTTP/1\.1 \d{3} ", head), raw[:200]
        self.status = int(head[9:12])
        self.head = head.lower()

    def error(self) -> str:
        """Return the sentence of an error, which has the one form."""
        assert b"content-type: application/json" in self.head, (self.head, self.body)
        body = json.loads(self.body)
        assert set(body) == {"error", "code", "request_id", "details"}, body
        return str(body["error"])


class Raw:
    """Connections of bytes to a server."""

    def __init__(self, server: RunningServer) -> None:
        parts = urlsplit(server.base_url)
        self._address = (str(parts.hostname), int(parts.port or 0))
        self.key = server.api_key.encode()

    def send(self, data: bytes, *, hang_up: bool = False) -> bytes:
        """Send bytes and return everything that comes back; with `hang_up`, say that no more will come."""
        with socket.create_connection(self._address, _SECONDS) as connection:
            connection.settimeout(_SECONDS)
            received = bytearray()
            try:
                connection.sendall(data)
                if hang_up:
                    connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all was sent: what was answered can still be read
            try:
                while piece := connection.recv(65536):
                    received += piece
            except ConnectionResetError:
                pass
            return bytes(received)

    def request(self, line: bytes, *headers: bytes, body: bytes = b"", length: bytes | None = None) -> bytes:
        """Return the bytes of a request with a valid key."""
        size = str(len(body)).encode() if length is None else length
        fixed = [b"Host: x", b"Authorization: Bearer " + self.key, b"Connection: close"]
        counted = [b"Content-Length: " + size] if body or length is not None else []
        return b"\r\n".join([line + b" HTTP/1.1", *fixed, *counted, *headers, b"", body])

    def ask(self, line: bytes, *headers: bytes, body: bytes = b"", length: bytes | None = None) -> Answer:
        """Return the answer to a request with a valid key."""
        return Answer(self.send(self.request(line, *headers, body=body, length=length)))


@pytest.fixture
def raw(own_server: RunningServer) -> Iterator[Raw]:
    """Connections to the server, which must be well afterwards and have met nothing unforeseen."""
    connections = Raw(own_server)
    yield connections
    assert connections.ask(b"GET /ready").status == 200
    assert not [line for line in own_server.log.read_text().splitlines() if " ERROR " in line]


NO_HTTP = [
    b"\r\n\r\n\r\nhello\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /containers/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /containers?limit=\xd9\xa1 HTTP/1.1\r\nHost: x\r\n\r\n",
]


@pytest.mark.parametrize("data", NO_HTTP, ids=lambda data: ascii(data[:60]))
def test_what_is_no_http(raw: Raw, data: bytes) -> None:
    answer = Answer(raw.send(data))
    assert answer.status == 400
    assert answer.error().endswith(".")
    assert b"connection: close" in answer.head


@pytest.mark.parametrize(
    "path",
    [
        b"/containers/%00",
        b"/containers/%ff%fe",
        b"/containers/%ed%a0%80",
        b"/containers/cnt_%30000000000000000000x",
        b"/containers/%63nt_0000000000000000000%2e",
        b"/containers/..%2f..%2fetc%2fpasswd",
        b"/containers/cnt_0000000000000000000%E0%A5%A6",
        b"/containers/cnt_00000000000000000000%0a",
        b"/containers/" + b"a" * 5000,
        b"/containers//logs",
        b"/containers/%2F/logs",
        b"/containers/executions/exec_%00",
        b"//containers",
        b"/../../../../etc/passwd",
        b"/containers;x=y",
        b"/%63ontainers/../health",
    ],
    ids=lambda path: ascii(path[:60]),
)
def test_addresses_that_name_nothing(raw: Raw, path: bytes) -> None:
    for method in (b"GET ", b"DELETE "):
        answer = raw.ask(method + COMPUTE + path)
        assert answer.status in (404, 405)
        assert answer.error()
        answer.error().encode("ascii")


@pytest.mark.parametrize(
    "query",
    [
        b"name=%ff",
        b"name=%ed%a0%80",
        b"limit=%D9%A1%D9%A2",
        b"limit=1_0",
        b"limit=%2B1",
        b"limit=1e1",
        b"limit=" + b"9" * 5000,
        b"offset=-0",
        b"limit=1&limit=2",
        b"limit=1&Limit=1",
        b"limit",
        b"metadata[a]=1&metadata=2",
        b"metadata[a[b]]=1",
        b"metadata[]=1",
        b"metadata=1",
        b"status=%00",
        b"&&&==&",
        b"&".join(b"a%d=1" % number for number in range(3000)),
        b"%",
        b"name=%",
        b"name=%zz",
    ],
    ids=lambda query: ascii(query[:40]),
)
def test_queries(raw: Raw, query: bytes) -> None:
    answer = raw.ask(b"GET " + COMPUTE + b"/containers?" + query)
    assert answer.status in (200, 422), answer.body
    if answer.status == 422:
        assert json.loads(answer.body)["details"]["fields"][0]["field"]


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer \xff\xfe",
        b"Idempotency-Key: \xff",
        b"Idempotency-Key: a\tb",
        b"Idempotency-Key: " + b"a" * 256,
        b"Idempotency-Key:",
        b"Content-Encoding: gzip",
        b"Content-Encoding: identity, br",
    ],
    ids=lambda header: ascii(header[:40]),
)
def test_headers_that_are_refused(raw: Raw, header: bytes) -> None:
    if header.startswith(b"Authorization"):
        line = b"POST " + COMPUTE + b"/estimate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        answer = Answer(raw.send(line + header + b"\r\n\r\n"))
        assert answer.status == 401
    else:
        answer = raw.ask(b"POST " + COMPUTE + b"/estimate", header, body=b'{"cpuCores": 1, "memoryMb": 64}')
        assert answer.status == 422
        field = json.loads(answer.body)["details"]["fields"][0]["field"]
        assert field.encode() == header.partition(b":")[0]
    assert answer.error()


@pytest.mark.parametrize(
    "header",
    [
        b"X-Request-Id: \xff",
        b"Accept: text/html",
        b"Range: bytes=0-1",
        b"Cookie: " + b"a=b; " * 1000,
        b"X: " + b"x" * 30_000,
        b"Upgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        b"X-Forwarded-For: \xff, 1.2.3.4",
        b"X-HTTP-Method-Override: DELETE",
    ],
    ids=lambda header: ascii(header[:40]),
)
def test_headers_that_change_nothing(raw: Raw, header: bytes) -> None:
    answer = raw.ask(b"GET " + COMPUTE + b"/containers", header)
    assert answer.status == 200
    assert "executions" in json.loads(answer.body)


BODIES = [
    (b'{"name": "\\ud800"}', "surrogate"),
    (b'{"\\udfff": 1}', "surrogate"),
    (b'{"metadata": {"a": "\\ud83d"}}', "surrogate"),
    (b'{"name": "\xed\xa0\x80"}', "surrogate"),
    (b'{"name": "\xff"}', "JSON"),
    (b'{"image": "a", "image": "b"}', "given twice"),
    (b'{"environment": {"A": "1", "A": "2"}}', "given twice"),
    (b'{"cpuCores": NaN}', "finite"),
    (b'{"cpuCores": 1e999}', "cpuCores"),
    (b'{"memoryMb": 1e30}', "memoryMb"),
    (b'{"memoryMb": ' + b"9" * 4000 + b"}", "memoryMb"),
    (b'{"maxCostCredits": 1e308}', "maxCostCredits"),
    (b'{"timeoutSeconds": -0.0}', "timeoutSeconds"),
    (b'{"expiresAt": "9999-12-31T23:59:59-23:59"}', "expiresAt"),
    (b'{"expiresAt": "0001-01-01T00:00:00+23:59"}', "expiresAt"),
    (b'{"expiresAt": "9999-12-31T23:59:59Z"}', "expiresAt"),
    (b'{"expiresAt": "2030-02-30T00:00:00Z"}', "expiresAt"),
    (b'{"expiresAt": "\xd9\xa2\xd9\xa0\xd9\xa3\xd9\xa0-01-01"}', "expiresAt"),
    (b'{"expiresAt": ""}', "expiresAt"),
    (b'{"image": "\\u0000"}', "image"),
    (b'{"image": "../../etc/passwd"}', "registry name"),
    (b'{"image": "a b"}', "image"),
    (b'{"image": "\\u202epython"}', "image"),
    (b'{"command": ["\\u0000"]}', "command"),
    (b'{"environment": {"A\\u0000": ""}}', "environment"),
    (b'{"environment": {"": ""}}', "environment"),
    (b"[" * 10_000, "JSON"),
    (b"\xef\xbb\xbf", "no body"),
    (b"\x00", "JSON"),
    (b"\x1f\x8b\x08\x00", "JSON"),
    (b'"text"', "object"),
]


@pytest.mark.parametrize(("body", "said"), BODIES, ids=[ascii(body[:50]) for body, _ in BODIES])
def test_bodies_that_are_refused(raw: Raw, body: bytes, said: str) -> None:
    # The rest of the request is right, so that what is refused is what is wrong.
    if body.startswith(b'{"') and body.endswith(b"}"):
        given = re.findall(rb'^\{"(\w+)"', body)
        rest = {name: value for name, value in CREATE.items() if name.encode() not in given}
        body = body[:-1] + b", " + json.dumps(rest).encode()[1:]
    answer = raw.ask(b"POST " + COMPUTE + b"/containers", body=body)
    assert answer.status == 422, answer.body
    assert said in answer.error()
    assert json.loads(answer.body)["details"]["fields"][0]["field"]


def test_text_of_every_kind_is_kept_as_it_is(raw: Raw) -> None:
    text = "\U0001f468\u200d\U0001f469 \u0660\u00e9\uffff\U0010ffff'\"\\;--%00"
    wanted = {**CREATE, "name": text, "environment": {text.replace("=", ""): text + "\x01\x7f"}, "command": [text]}
    answer = raw.ask(b"POST " + COMPUTE + b"/containers", body=json.dumps(wanted).encode())
    assert answer.status == 201, answer.body
    made = json.loads(answer.body)
    assert {name: made[name] for name in ("name", "environment", "command")} == {
        name: wanted[name] for name in ("name", "environment", "command")
    }


CREATE_LINE = b"POST " + COMPUTE + b"/estimate"
ESTIMATE = b'{"cpuCores": 1, "memoryMb": 64}'


def test_a_body_in_chunks(raw: Raw) -> None:
    chunked = b"Transfer-Encoding: chunked"
    whole = b"%x;extension=1\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(ESTIMATE), ESTIMATE)
    assert raw.ask(CREATE_LINE, chunked, body=whole).status == 400
    head = raw.request(CREATE_LINE, chunked)
    assert Answer(raw.send(head + whole)).status == 200
    for broken in (b"5\r\nab", b"zz\r\n\r\n", b"-1\r\n\r\n", b"ffffffffffffffffff\r\n", b"1\r\nab\r\n0\r\n\r\n", b""):
        received = raw.send(head + broken, hang_up=True)
        # A body that just ends is nobody's any more: the client has gone.
        assert not received or Answer(received).status in (400, 413, 422)


def test_a_length_that_lies(raw: Raw) -> None:
    assert raw.send(raw.request(CREATE_LINE, body=ESTIMATE, length=b"1000"), hang_up=True) == b""
    short = raw.send(raw.request(CREATE_LINE, body=ESTIMATE, length=b"5"))
    assert Answer(short).status == 422
    huge = raw.ask(CREATE_LINE, body=ESTIMATE, length=b"999999999999")
    assert (huge.status, "larger than" in huge.error()) == (413, True)


def test_requests_in_a_row_on_one_connection(raw: Raw) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    received = raw.send(one * 100 + b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" + raw.request(b"GET /health"))
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200"] * 100 + [b"404", b"200"]


def test_a_refused_body_is_no_next_request(raw: Raw) -> None:
    smuggled = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST " + COMPUTE + b"/estimate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    assert re.findall(rb"HTTP/1\.1 (\d+)", raw.send(head + smuggled)) == [b"401"]


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE", b"PROPFIND", b"QUERY"])
def test_methods_that_nothing_takes(raw: Raw, method: bytes) -> None:
    answer = raw.ask(method + b" " + COMPUTE + b"/containers")
    assert (answer.status, b"allow: get, head, post" in answer.head) == (405, True)
    assert answer.error()


def test_methods_that_no_one_knows(raw: Raw) -> None:
    assert raw.ask(b"BREW " + COMPUTE + b"/containers").status == 400
    assert raw.ask(b"get /health").status == 400


def test_head_is_get_without_a_body(raw: Raw) -> None:
    answer = raw.ask(b"HEAD " + COMPUTE + b"/containers")
    assert (answer.status, answer.body) == (200, b"")
    missing = raw.ask(b"HEAD " + COMPUTE + b"/containers/x")
    assert (missing.status, missing.body) == (404, b"")


def test_expect_continue(raw: Raw) -> None:
    received = raw.send(raw.request(CREATE_LINE, b"Expect: 100-continue", body=ESTIMATE))
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"100", b"200"]


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
        b"GET / HTTP/1.1\r\nX",
        b"POST /api/v1/compute/estimate HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST /api/v1/compute/estimate HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
    ids=lambda start: ascii(start[-30:]),
)
def test_heads_without_an_end(raw: Raw, own_server: RunningServer, start: bytes) -> None:
    before = own_server.memory_bytes()
    received = raw.send(start + b"a" * 100_000_000)
    # Where the body had begun, the answer may be the API's, which needs a key; or the connection just ends.
    assert not received or Answer(received).status in (400, 401, 431)
    assert own_server.memory_bytes() - before < 50_000_000


def test_a_head_that_is_too_large(raw: Raw) -> None:
    answer = Answer(raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"Header: value\r\n" * 200_000))
    assert answer.status == 431
    assert "headers are larger than" in answer.error()
