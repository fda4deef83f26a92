"""The host's settings: the environment, `local.settings.json` and `host.json`."""

import hashlib
import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.functions_host.functions import LoadError, NoAccount

DEFAULT_BODY_LIMIT_BYTES = 104_857_600
# What `func start` allows when host.json says nothing.
DEFAULT_TIMEOUT_SECONDS = 1800.0
STORAGE_CONNECTION = "AzureWebJobsStorage"
_HOST_ID_SETTING = "AzureFunctionsWebHost__hostid"
_BLOBS_PER_CORE = 8
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?")


@dataclass(frozen=True)
class QueueSettings:
    """`extensions.queues` of host.json."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout_seconds: float = 0.0
    base64: bool = True


@dataclass(frozen=True)
class HostSettings:
    """Everything that steers the host, read once at start."""

    app: Path
    host_id: str
    route_prefix: str = "api"
    function_timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS
    body_limit_bytes: int = DEFAULT_BODY_LIMIT_BYTES
    blob_parallelism: int = _BLOBS_PER_CORE
    poison_blob_threshold: int = 5
    queues: QueueSettings = field(default_factory=QueueSettings)
    cors_origins: tuple[str, ...] = ()
    poll_seconds: float = 1.0
    lock_seconds: float = 30.0
    clock_ahead_seconds: float = 0.0


def load_settings(
    app: Path,
    *,
    cors: str | None = None,
    poll_seconds: float = 1.0,
    lock_seconds: float = 30.0,
    clock_ahead_seconds: float = 0.0,
) -> HostSettings:
    """Read host.json, and fill the environment from local.settings.json.

    What the environment already sets wins over the file, as under `func start`. The values go to
    `os.environ` because that is where the app and the SDK-type bindings look.

    Raises:
        LoadError: a file that is not the JSON it should be.
    """
    local = _read_json(app / "local.settings.json") if (app / "local.settings.json").exists() else {}
    for name, value in local.get("Values", {}).items():
        os.environ.setdefault(name, str(value))
    host = _read_json(app / "host.json")
    try:
        return HostSettings(
            app=app,
            host_id=os.environ.get(_HOST_ID_SETTING) or _host_id(app),
            cors_origins=_origins(cors if cors is not None else local.get("Host", {}).get("CORS")),
            body_limit_bytes=int(os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", DEFAULT_BODY_LIMIT_BYTES)),
            poll_seconds=poll_seconds,
            lock_seconds=lock_seconds,
            clock_ahead_seconds=clock_ahead_seconds,
            **_from_host_json(host),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise LoadError(f"host.json: {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise LoadError(f"{path.name} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise LoadError(f"{path.name} must hold a JSON object")
    return content


def _from_host_json(host: Mapping[str, Any]) -> dict[str, Any]:
    if host.get("version") != "2.0":
        raise ValueError('"version" must be "2.0"')
    extensions = host.get("extensions", {})
    blobs = extensions.get("blobs", {})
    cores = os.cpu_count() or 1
    return {
        "route_prefix": extensions.get("http", {}).get("routePrefix", "api").strip("/"),
        "function_timeout_seconds": _timeout(host.get("functionTimeout")),
        "blob_parallelism": int(blobs.get("maxDegreeOfParallelism", _BLOBS_PER_CORE * cores)),
        "poison_blob_threshold": int(blobs.get("poisonBlobThreshold", 5)),
        "queues": _queue_settings(extensions.get("queues", {}), cores),
    }


def _queue_settings(queues: Mapping[str, Any], cores: int) -> QueueSettings:
    batch_size = int(queues.get("batchSize", 16))
    if not 1 <= batch_size <= 32:
        raise ValueError("queues.batchSize must be 1 to 32")
    encoding = str(queues.get("messageEncoding", "base64")).lower()
    if encoding not in {"base64", "none"}:
        raise ValueError("queues.messageEncoding must be base64 or none")
    return QueueSettings(
        batch_size=batch_size,
        new_batch_threshold=int(queues.get("newBatchThreshold", batch_size // 2 * cores)),
        max_dequeue_count=int(queues.get("maxDequeueCount", 5)),
        visibility_timeout_seconds=time_span_seconds(queues.get("visibilityTimeout", "00:00:00")),
        base64=encoding == "base64",
    )


def _timeout(text: str | None) -> float | None:
    if text is None:
        return DEFAULT_TIMEOUT_SECONDS
    return None if text in {"-1", "-00:00:01"} else time_span_seconds(text)


def time_span_seconds(text: str) -> float:
    """Read a .NET TimeSpan, `[d.]hh:mm[:ss]`, as seconds.

    Raises:
        ValueError: not a TimeSpan.
    """
    match = _TIME_SPAN.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a time span such as 00:10:00")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _origins(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip().rstrip("/") for part in (text or "").split(",") if part.strip())


def _host_id(app: Path) -> str:
    """Return an id that stays the same for a folder on a machine, so that receipts keep counting."""
    machine = re.sub(r"[^a-z0-9]", "", socket.gethostname().lower())[:15] or "local"
    return f"{machine}-{hashlib.sha256(str(app).encode()).hexdigest()[:12]}"


def resolve_percent(text: str) -> str:
    """Replace `%NAME%` by the setting of that name.

    Raises:
        LoadError: the setting is missing.
    """

    def setting(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise LoadError(f"the setting {match[1]}, used as %{match[1]}%, is not set")
        return value

    return re.sub(r"%([^%]+)%", setting, text)


def is_disabled(function_name: str) -> bool:
    """Tell whether a setting disables a function; it can then be called through the admin API only."""
    names = (f"AzureWebJobs.{function_name}.Disabled", f"AzureWebJobs_{function_name}_Disabled")
    return any(os.environ.get(name, "").lower() in {"1", "true"} for name in names)


def connection_string(name: str | None) -> str:
    """Return the storage connection string that a binding's `connection` names.

    Raises:
        NoAccount: no such setting, or it holds no connection string.
    """
    name = name or STORAGE_CONNECTION
    value = os.environ.get(name, "")
    if not value:
        raise NoAccount(f"the setting {name} must hold a storage connection string")
    if "=" not in value:
        raise NoAccount(f"the setting {name} holds no storage connection string")
    return value
