"""The one settings object.

Read once, at the root, from flags, then environment variables (`COGNITORA_…`), then the settings file (TOML),
then the defaults below. Unknown keys are refused. Sizes are in bytes and times in seconds, unless a name says
otherwise.
"""

from __future__ import annotations

import difflib
import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from .domain.accounts import AccountLimits
from .domain.credits import Prices
from .domain.errors import CognitoraError

MIB = 1 << 20
GIB = 1 << 30

DEFAULT_DATA_DIR = Path("/var/lib/cognitora")
DEFAULT_SETTINGS_FILE = Path("/etc/cognitora/cognitora.toml")


#: Variables of the same prefix that clients read.
_CLIENT_VARIABLES = {"COGNITORA_API_KEY", "COGNITORA_BASE_URL", "COGNITORA_TIMEOUT"}


class InvalidSettings(CognitoraError):
    """The settings are not valid."""

    code = "invalid_settings"


def _host_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError("give HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    if host != "localhost":
        ip_address(host.strip("[]"))
    return text


class Settings(BaseSettings):
    """Everything an operator can set. Each field's description is its documentation (`docs/settings.md`)."""

    model_config = SettingsConfigDict(env_prefix="COGNITORA_", extra="forbid", frozen=True, allow_inf_nan=False)

    data_dir: Path = Field(
        DEFAULT_DATA_DIR,
        description="Where everything is kept: the database, sandboxes, mounted images. One server per directory.",
    )
    listen: Annotated[str, AfterValidator(_host_port)] = Field(
        "127.0.0.1:8080", description="HOST:PORT of the API. Loopback unless told otherwise."
    )
    database_url: str | None = Field(
        None, description="SQLAlchemy URL of the database; default: SQLite in the data directory."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="How much the server logs, to standard error."
    )
    history_days: int = Field(
        30, ge=1, description="How long containers, executions and outputs are kept after their end, in days."
    )
    history_max_bytes: int = Field(
        10 * GIB,
        ge=16 * MIB,
        description="How much of the database they may take; beyond it what ended first is forgotten first.",
    )
    audit_days: int = Field(365, ge=1, description="How long the audit log is kept, in days.")
    log_format: Literal["text", "json"] = Field(
        "text", description="How it logs: lines for people, or one JSON object a line for programs."
    )
    metrics_token: str | None = Field(
        None,
        min_length=16,
        description="GET /metrics wants 'Authorization: Bearer TOKEN'; without a token it answers this host only.",
    )
    rate_limit_per_minute: int = Field(
        6_000,
        ge=0,
        description="Requests that one key may send in a minute; beyond it 429 with Retry-After. 0: no limit.",
    )
    rate_limit_burst: int = Field(
        500, ge=0, description="Requests that one key may send in a second; beyond it 429. 0: no limit."
    )
    wrong_keys_per_minute: int = Field(
        60, ge=0, description="Requests with a wrong key that are answered 401 per address; beyond it 429. 0: no limit."
    )

    isolation: Literal["auto", "microvm", "gvisor", "container"] = Field(
        "auto",
        description="Isolation of containers that ask for none: auto takes the strongest this host can run.",
    )
    minimum_isolation: Literal["microvm", "gvisor", "container"] = Field(
        "gvisor",
        description="Weaker isolation than this is refused. 'container' (a shared kernel) is for trusted code only.",
    )
    runsc: Path | None = Field(
        None, description="Path of gVisor's runsc; default: beside the server's Python, then on PATH."
    )
    oci_runtime: Path | None = Field(
        None, description="Path of crun or runc for 'container' isolation; default: crun, then runc, on PATH."
    )

    default_storage_gb: int = Field(5, ge=1, le=1024, description="storageGb where a request names none (GiB).")
    max_storage_gb: int = Field(100, ge=1, le=16384, description="Largest storageGb a request may ask for (GiB).")
    one_shot_timeout_seconds: int = Field(300, ge=1, description="Deadline of a one-shot container without one.")
    persistent_timeout_seconds: int = Field(86_400, ge=1, description="Deadline of a persistent container without one.")
    max_timeout_seconds: int = Field(
        2_592_000,
        ge=1,
        description="Longest deadline a container may have, counted from now (default 30 days).",
    )
    exec_timeout_seconds: int = Field(
        3_600, ge=1, description="Timeout of an exec that names none; it also ends with its container."
    )
    idle_after_seconds: int = Field(
        300,
        ge=1,
        description="A persistent container is shown as IDLE when it had no output, input, CPU use and open connection "
        "for this long.",
    )
    start_timeout_seconds: int = Field(
        60, ge=5, description="How long a sandbox may take to boot and its guest agent to answer."
    )
    host_cpu_cores: float | None = Field(
        None, ge=0.1, description="CPU cores that this host has for containers; default: those of the machine."
    )
    host_memory_mb: int | None = Field(
        None,
        ge=64,
        description="Memory that this host has for containers (MiB); default: the machine's less memory_reserve_mb.",
    )
    memory_reserve_mb: int = Field(
        512, ge=0, description="Memory of the machine that is kept for the host itself (MiB)."
    )
    cpu_overcommit: float = Field(
        8.0,
        ge=1,
        description="How many times the host's CPU cores running containers may ask for in all: most of them idle.",
    )
    memory_overcommit: float = Field(
        1.0, ge=1, description="How many times the host's memory running containers may ask for in all."
    )
    max_containers: int = Field(
        500, ge=1, description="How many containers may run at the same time; more are QUEUED until there is room."
    )
    concurrent_starts: int = Field(4, ge=1, le=256, description="How many sandboxes are started at the same time.")
    ready_disks: int = Field(
        4,
        ge=0,
        le=256,
        description="Empty disks of the default size that are kept ready so that a start need not wait.",
    )

    max_body_bytes: int = Field(
        256 * MIB, ge=MIB, description="Largest request body; beyond it 413. Files count with their encoding."
    )
    max_inflight_body_bytes: int = Field(
        1 * GIB, ge=MIB, description="All request bodies in memory at once; beyond it 503 with Retry-After."
    )
    output_limit_bytes: int = Field(
        10 * MIB,
        ge=64 * 1024,
        le=64 * MIB,
        description="Output kept of one execution: its first 4/5 and last 1/5; what lies between is left out, marked.",
    )
    disk_reserve_bytes: int = Field(
        2 * GIB,
        ge=0,
        description="Free space of the data directory's disk below which the container that uses most of it is ended.",
    )

    storage_root: Path | None = Field(
        None, description="Graph root of containers/storage; default: the host's own, which podman uses too."
    )
    registries_conf: Path | None = Field(
        None, description="Another registries.conf (mirrors, insecure registries) than the host's."
    )
    registry_auth_file: Path | None = Field(
        None,
        description="Another auth.json (registry credentials) than the host's; 'podman login' writes it.",
    )
    image_max_bytes: int = Field(20 * GIB, ge=MIB, description="Largest image accepted, unpacked.")
    image_pull_timeout_seconds: int = Field(1_800, ge=1, description="How long one pull may take.")

    price_cpu_core_hour: float = Field(2.0, ge=0, le=1e6, description="Credits for one CPU core for an hour.")
    price_memory_gib_hour: float = Field(0.5, ge=0, le=1e6, description="Credits for one GiB of memory for an hour.")
    price_storage_gib_hour: float = Field(0.01, ge=0, le=1e6, description="Credits for one GiB of storage for an hour.")
    price_gpu_hour: float = Field(100.0, ge=0, le=1e6, description="Credits for one GPU for an hour.")

    account_budget_credits: float | None = Field(
        None,
        ge=0,
        description="Credits that an account may spend in a calendar month (UTC); default: any. Accounts can have "
        "limits of their own: 'cognitora accounts set'.",
    )
    account_max_containers: int | None = Field(
        None, ge=0, description="Containers that an account may hold at once, waiting ones too; default: any number."
    )
    account_max_cpu_cores: float | None = Field(
        None, ge=0, description="CPU cores that the containers of an account may have together; default: any number."
    )
    account_max_memory_mb: int | None = Field(
        None, ge=0, description="Memory that the containers of an account may have together (MiB); default: any."
    )

    @property
    def account_limits(self) -> AccountLimits:
        """The limits of accounts that have none of their own."""
        return AccountLimits(
            self.account_budget_credits,
            self.account_max_containers,
            self.account_max_cpu_cores,
            self.account_max_memory_mb,
        )

    @property
    def prices(self) -> Prices:
        """The price list as one value."""
        return Prices(
            self.price_cpu_core_hour,
            self.price_memory_gib_hour,
            self.price_storage_gib_hour,
            self.price_gpu_hour,
        )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then the file; no .env file is read."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(file: Path | None = None, **flags: Any) -> Settings:
    """Return the settings from `flags` (None: not given), the environment and the settings file.

    Raises InvalidSettings, naming each wrong key and what it wants.
    """
    chosen = file or (DEFAULT_SETTINGS_FILE if DEFAULT_SETTINGS_FILE.exists() else None)
    if file is not None and not file.is_file():
        raise InvalidSettings(f"There is no settings file {file}.")
    _check_environment()
    given = {name: value for name, value in flags.items() if value is not None}
    source = type("SettingsFromFile", (Settings,), {"model_config": SettingsConfigDict(toml_file=chosen)})
    try:
        values = source(**given).model_dump()
    except (ValidationError, ValueError) as error:
        raise InvalidSettings(_explain(error, chosen)) from error
    return Settings.model_construct(**values)


def _check_environment() -> None:
    known = {f"COGNITORA_{name.upper()}" for name in Settings.model_fields} | _CLIENT_VARIABLES
    for name in os.environ:
        if name.startswith("COGNITORA_") and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InvalidSettings(f"The environment variable {name} is no setting.{hint}")


def _explain(error: Exception, file: Path | None) -> str:
    if not isinstance(error, ValidationError):
        return f"The settings file {file} cannot be read: {error}"
    lines = [
        f"{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors()
    ]
    return "The settings are not valid: " + "; ".join(lines)
