"""What the host knows of a function: its name and its bindings, as a worker indexed them.

A worker describes bindings as the JSON texts that Azure's own workers send to the host, so both
workers give the host the same picture.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HTTP_TRIGGER = "httpTrigger"
BLOB_TRIGGER = "blobTrigger"
QUEUE_TRIGGER = "queueTrigger"
TIMER_TRIGGER = "timerTrigger"
TRIGGERS = frozenset({HTTP_TRIGGER, BLOB_TRIGGER, QUEUE_TRIGGER, TIMER_TRIGGER})

EVENT_GRID = "EventGrid"


class LoadError(Exception):
    """The app cannot be indexed; the text names the function and the reason.

    One bad function fails the whole app, as in Azure.
    """


class NoAccount(LoadError):
    """A setting that should hold a storage connection string does not: who needs it cannot listen."""


@dataclass(frozen=True)
class TypedValue:
    """A value on its way to a function, tagged as the Functions protocol tags it.

    `kind` is one of string, bytes, json, http, model_binding_data.
    """

    kind: str
    value: Any


@dataclass(frozen=True)
class Function:
    """A function of the app, as indexed."""

    name: str
    bindings: tuple[Mapping[str, Any], ...]
    function_id: str

    @property
    def trigger(self) -> Mapping[str, Any]:
        """Return the binding that starts the function."""
        return next(binding for binding in self.bindings if is_trigger(binding))

    @property
    def kind(self) -> str:
        """Return the trigger's type, such as `blobTrigger`."""
        return str(self.trigger["type"])

    @property
    def wants_client(self) -> bool:
        """Whether the trigger's parameter is an SDK type (BlobClient), not content."""
        return bool(self.trigger.get("properties", {}).get("SupportsDeferredBinding"))

    @property
    def qualified_name(self) -> str:
        """Return the name under which receipts, locks and events know the function."""
        return f"Host.Functions.{self.name}"

    @property
    def from_event_grid(self) -> bool:
        """Whether a blob trigger waits for events instead of the container being polled."""
        return self.trigger.get("source") == EVENT_GRID


def is_trigger(binding: Mapping[str, Any]) -> bool:
    """Tell whether a binding is a trigger."""
    return str(binding["type"]).endswith("Trigger")


def describe(name: str, function_id: str, raw_bindings: Iterable[str]) -> Function:
    """Read a function's bindings and refuse what this host cannot serve.

    Raises:
        LoadError: a trigger or binding of a type that is not imitated here.
    """
    bindings = tuple(json.loads(raw) for raw in raw_bindings)
    for binding in bindings:
        _refuse_unknown(name, binding)
    return Function(name, bindings, function_id)


def _refuse_unknown(name: str, binding: Mapping[str, Any]) -> None:
    known = binding["type"] in TRIGGERS or (binding["type"], binding["name"]) == ("http", "$return")
    if not known:
        raise LoadError(f"{name}: this host does not imitate the binding type {binding['type']!r}")


def find_app(folder: Path) -> None:
    """Check that a folder holds a function app of the v2 model.

    Raises:
        LoadError: host.json or function_app.py is missing.
    """
    for wanted in ("host.json", "function_app.py"):
        if not (folder / wanted).is_file():
            raise LoadError(f"{folder} is not a function app: it has no {wanted}")
