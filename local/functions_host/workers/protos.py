"""Plain stand-ins for the protobuf messages that the official runtime library is handed and makes.

The library only ever sets keyword fields, reads attributes and asks which member of a oneof is set.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Message(SimpleNamespace):
    """A message of any type: it keeps the fields it was given."""

    def WhichOneof(self, group: str) -> str | None:
        """Return the name of the member that is set; a message here has at most one oneof."""
        fields = (name for name, value in vars(self).items() if name != "name" and value is not None)
        return next(fields, None)


class _BindingInfo(Message):
    # The numbers of azure.functions' own BindingDirection and DataType.
    In, out, inout = 0, 1, 2
    undefined = None


class _StatusResult(Message):
    Failure, Success = 0, 1


class _Cookie(Message):
    SameSite = SimpleNamespace(**{"None": "", "Lax": "Lax", "Strict": "Strict", "ExplicitNone": "None"})


_WITH_CONSTANTS: dict[str, type[Message]] = {
    "BindingInfo": _BindingInfo,
    "StatusResult": _StatusResult,
    "RpcHttpCookie": _Cookie,
}


class Protos:
    """Stands for the module of generated classes: every name in it is a message type."""

    def __getattr__(self, name: str) -> Any:
        return _WITH_CONSTANTS.get(name, Message)


def request(kind: str, protos: Protos, **fields: Any) -> Any:
    """Return what the library's entry points take: a request of one kind and the means to answer it."""
    return SimpleNamespace(
        request=SimpleNamespace(**{kind: Message(**fields)}),
        properties={"host": "127.0.0.1", "protos": protos},
    )
