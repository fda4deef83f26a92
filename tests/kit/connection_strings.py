"""Connection strings of a storage account, read, and changed so that they lead through a gateway."""

from __future__ import annotations

from typing import Literal, TypedDict, Unpack

Service = Literal["blob", "queue", "table"]


class Ways(TypedDict, total=False):
    """Addresses in place of a service's own."""

    blob: str
    queue: str
    table: str


def endpoint(connection_string: str, service: Service) -> str:
    """Return the address of a service."""
    return _parts(connection_string)[_name(service)]


def through(connection_string: str, **ways: Unpack[Ways]) -> str:
    """Return a connection string that leads to other addresses, where one is given."""
    parts = _parts(connection_string) | {_name(service): str(address) for service, address in ways.items()}
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _parts(connection_string: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in connection_string.split(";") if part)


def _name(service: str) -> str:
    return f"{service.capitalize()}Endpoint"
