"""The Python client of Cognitora: sealed containers for AI agents' code.

    from cognitora import Cognitora

    with Cognitora() as client:
        result = client.containers.run_and_wait(
            image="docker.io/library/python:3.11-slim", command=["python", "-c", "print(6 * 7)"],
            cpu_cores=1, memory_mb=512, max_cost_credits=1)
        print(result.logs)

`CognitoraAsync` is the same with `async with` and `await`. Names and arguments are those of the published client.
"""

from ._async.base import AsyncBaseClient
from ._async.client import CognitoraAsync
from ._async.containers import AsyncContainers
from ._sync.base import BaseClient
from ._sync.containers import Containers
from ._version import __version__
from .client import Cognitora
from .code_interpreter import AsyncCodeInterpreter, CodeInterpreter
from .errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    CognitoraError,
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotSupportedError,
    PaymentRequiredError,
    RateLimitError,
    ServerError,
    ServiceUnavailableError,
    WaitTimeoutError,
)
from .inputs import (
    ComputeExecutionRequest,
    ContainerExecRequest,
    ContainerUpdateRequest,
    FileUpload,
    PersistentContainerRequest,
    Secret,
)
from .models import (
    AccountStanding,
    CancelResult,
    ContainerExecResponse,
    ContainerExecution,
    ContainerLogs,
    ContainerUpdateResponse,
    ContainerUsage,
    CostBreakdown,
    CostEstimate,
    Execution,
    ExecutionResources,
    FileWritten,
    PersistentContainer,
    PortMapping,
    RunResult,
    Usage,
    UsageSum,
)
from .records import Page, Record

__all__ = [
    "APIConnectionError",
    "APIError",
    "APITimeoutError",
    "AccountStanding",
    "AsyncBaseClient",
    "AsyncCodeInterpreter",
    "AsyncContainers",
    "AuthenticationError",
    "BaseClient",
    "CancelResult",
    "CodeInterpreter",
    "Cognitora",
    "CognitoraAsync",
    "CognitoraError",
    "ComputeExecutionRequest",
    "ConfigurationError",
    "ConflictError",
    "ContainerExecRequest",
    "ContainerExecResponse",
    "ContainerExecution",
    "ContainerLogs",
    "ContainerUpdateRequest",
    "ContainerUpdateResponse",
    "ContainerUsage",
    "Containers",
    "CostBreakdown",
    "CostEstimate",
    "Execution",
    "ExecutionResources",
    "FileUpload",
    "FileWritten",
    "InvalidRequestError",
    "NotFoundError",
    "NotSupportedError",
    "Page",
    "PaymentRequiredError",
    "PersistentContainer",
    "PersistentContainerRequest",
    "PortMapping",
    "RateLimitError",
    "Record",
    "RunResult",
    "Secret",
    "ServerError",
    "ServiceUnavailableError",
    "Usage",
    "UsageSum",
    "WaitTimeoutError",
    "__version__",
]
