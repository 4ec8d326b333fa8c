"""What schemathesis is told about this API: it loads this file beside the server's OpenAPI document."""

from __future__ import annotations

import itertools
import os
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

from tests.robustness.document import narrow
from tests.servers import PYTHON_IMAGE

#: So many containers are real; those of an unknown image fail at once and cost next to nothing.
_MOST_BOOTED = 10

#: Valid by the document, refused for what the document cannot say.
_BEYOND_THE_DOCUMENT = (
    "is not valid base64",
    "needs networking: true",
    "is in the past",
    "is before from",
    "could not be written",  # the container's own file system decides
    "s ahead: the most is",
)

#: No test takes so long.
_LONG_SECONDS = 3600

#: The container that the other operations share must not be ended.
_ENDING = "cancel_container"
_UNKNOWN = "cnt_00000000000000000000"

_booted = itertools.count()


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Narrow the document to what this server gives."""
    narrow(raw_schema)


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Boot a few containers where one request follows another; elsewhere let all requests meet one that lives."""
    operation = case.operation.definition.raw["operationId"]
    stateful = case.meta is not None and case.meta.phase.name.value == "stateful"
    if stateful and operation == "create_container" and isinstance(case.body, dict):
        if case.body.get("image") and next(_booted) < _MOST_BOOTED:
            case.body |= {"image": PYTHON_IMAGE, "persistent": True, "command": None}
    elif not stateful and "container_id" in (case.path_parameters or {}):
        case.path_parameters["container_id"] = _UNKNOWN if operation == _ENDING else os.environ["ROBUSTNESS_CONTAINER"]
        _let_it_live(case.body)


def _let_it_live(body: Any) -> None:
    if isinstance(body, dict):
        for name in ("timeoutSeconds", "idleTimeoutSeconds"):
            if isinstance(body.get(name), int) and 1 <= body[name] < _LONG_SECONDS:
                body[name] = _LONG_SECONDS


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Let pass what was refused for a rule that a JSON schema cannot express."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    return not any(sentence in response.json()["error"] for sentence in _BEYOND_THE_DOCUMENT)


@schemathesis.check
def refusals_help(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Every refusal has the one form, says what is wrong in a sentence, and names the field if there is one."""
    if not 400 <= response.status_code < 500 or response.request.method == "HEAD":
        return
    body = response.json()
    assert set(body) == {"error", "code", "request_id", "details"}, body
    assert body["error"].endswith((".", "?", ")")), body
    assert "idempotency-replayed" in response.headers or body["request_id"] == response.headers["x-request-id"][0], body
    if response.status_code == 422:
        assert body["details"]["fields"], body
        assert all(named["field"] and named["message"] for named in body["details"]["fields"]), body
