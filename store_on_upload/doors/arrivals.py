"""What a message of the queue `dicom-arrivals` says: one of ours, or a storage event of Event Grid (pure).

An event is a hint, the blob itself decides. So what a wrong hint costs is one look at a blob, and little is asked of
an event: its type and its subject. Of the account nothing is compared but the container: the connection is ours, and
leads to the one account whose blobs can be read.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from shared.arrivals import OURS, TRACE, VERSION, Arrival, Door, Renamed
from shared.dicomweb import InvalidParameter
from shared.dicomweb.partitions import partition_path
from shared.settings import QUARANTINE, VAULT
from store_on_upload.files.naming import is_name

# Where a message may send the app but to the inbox: it deletes what it has dealt with.
_CONTAINERS = {Door.REPLAY: QUARANTINE, Door.RESTORE: VAULT}
_STORAGE_EVENTS = "Microsoft.Storage."
_EVENT_GRID_EVENTS = "Microsoft.EventGrid."  # about the subscription itself, such as its validation
_BLOB_EVENTS = ("Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobRenamed")
_DIRECTORY_RENAMED = "Microsoft.Storage.DirectoryRenamed"
# Of what older deployments wrote of an arrival, the version: the blob itself decides.
_WRITTEN_BEFORE = {"etag"}
_UNFINISHED = ("CreateFile", "SftpCreate")  # the file is empty still; another event follows when it is closed

# The leading slash is missing in some of the documented samples.
_SUBJECT = re.compile(r"/?blobServices/default/containers/([^/]+)/blobs/(.*)", re.DOTALL)
_BOM = b"\xef\xbb\xbf"


class UnreadableMessage(Exception):
    """A message that is neither ours nor a storage event; the text holds nothing of it."""


@dataclass(frozen=True)
class Nothing:
    """An event that is no arrival in the inbox."""


Item = Arrival | Renamed | Nothing


def read_message(body: bytes, inbox: str) -> list[Item]:
    """Read a message: JSON or base64 of it, an object or a list of them.

    One item that cannot be read makes the whole message unreadable: to do the others twice is harmless.

    Args:
        body: the text as it stood in the queue.
        inbox: name of the container whose events count.

    Returns:
        One item or more for each object; a renamed directory has one for each candidate for its name.

    Raises:
        UnreadableMessage: it is to be parked.
    """
    content = _parse(body)
    objects = content if isinstance(content, list) else [content]
    return [item for found in objects for item in _read(found, inbox)]


def _parse(body: bytes) -> object:
    try:
        try:
            return json.loads(body)
        except ValueError:
            return json.loads(base64.b64decode(body.removeprefix(_BOM).strip(), validate=True))
    except (ValueError, RecursionError):
        raise UnreadableMessage("the message is neither JSON nor base64 of it") from None


def _read(found: object, inbox: str) -> list[Item]:
    if not isinstance(found, dict):
        raise UnreadableMessage("the message holds what is no object")
    return [_read_ours(found)] if OURS in found else _read_event(found, inbox)


def _read_ours(message: Mapping[str, Any]) -> Item:
    try:
        item = _ours(message)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UnreadableMessage("the message has a form of ours that is not known here") from None
    if not _is_sound(item):
        raise UnreadableMessage("the message has our form, and values that it cannot have")
    return item


def _ours(message: Mapping[str, Any]) -> Arrival | Renamed:
    if message[OURS] != VERSION:
        raise ValueError("another version")
    if "renamed" in message:
        return Renamed(**message["renamed"])
    fields = {name: value for name, value in message["arrival"].items() if name not in _WRITTEN_BEFORE}
    if not isinstance(fields["names"], list):
        raise TypeError("no list of names")
    trace = {TRACE: message[TRACE]} if isinstance(message.get(TRACE), str) else {}
    return Arrival(**{**fields, **trace, "names": tuple(fields["names"]), "door": Door(fields["door"])})


def _is_sound(item: Arrival | Renamed) -> bool:
    if isinstance(item, Renamed):
        return is_name(item.prefix) and isinstance(item.continuation, str | None)
    return (
        bool(item.names)
        and all(isinstance(name, str) for name in item.names)  # which of them a blob can have, the handler asks
        and item.container == _CONTAINERS.get(item.door)
        and isinstance(item.tries, int)
        and _may_have_partition(item)
    )


def _read_event(message: Mapping[str, Any], inbox: str) -> list[Item]:
    """Read an event in Event Grid's own schema (`eventType`) or CloudEvents 1.0 (`type`)."""
    kind = message.get("eventType", message.get("type"))
    if not isinstance(kind, str) or not kind.startswith((_STORAGE_EVENTS, _EVENT_GRID_EVENTS)):
        raise UnreadableMessage("the message is neither ours nor a storage event")
    given = message.get("data")
    data = given if isinstance(given, dict) else {}
    if kind not in (*_BLOB_EVENTS, _DIRECTORY_RENAMED) or data.get("api") in _UNFINISHED:
        return [Nothing()]
    container, subject = _split(message.get("subject"))
    if container != inbox:
        return [Nothing()]
    names = _candidates(container, subject, data)
    if kind == _DIRECTORY_RENAMED and all(map(is_name, names)):
        return [Renamed(name.rstrip("/") + "/") for name in names]
    return [Arrival(names, Door.EVENT)]


def _split(subject: object) -> tuple[str, str]:
    """Return the container, and the name as the subject has it. A renamed blob's subject has its new name."""
    match = _SUBJECT.fullmatch(subject) if isinstance(subject, str) else None
    if match is None:
        raise UnreadableMessage("a storage event names no blob")
    return match[1], match[2]


def _candidates(container: str, subject: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the blob's name may be: how subjects and URLs are encoded is not documented.

    If no blob can have any of these names, they are returned nevertheless: the handler ignores such an arrival.
    """
    written = (subject, _name_in_url(container, data))
    names = tuple(dict.fromkeys(name for text in written for name in (text, _unquoted(text)) if name))
    if not names:
        raise UnreadableMessage("a storage event names no blob")
    return tuple(filter(is_name, names)) or names


def _name_in_url(container: str, data: Mapping[str, Any]) -> str:
    """Return the path below the container: by hand, since a `#` or `?` of the name may stand there as it is."""
    given = (data.get(key) for key in ("destinationUrl", "blobUrl", "url"))
    url = next((text for text in given if isinstance(text, str)), "")
    path = url.partition("://")[2].partition("/")[2]
    found, _, name = path.partition("/")
    return name if found == container else ""


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return ""


def _may_have_partition(item: Arrival) -> bool:
    """Say whether a partition is one, and named only where no blob's name decides: of what comes from the vault."""
    try:
        return item.partition is None or (item.door is Door.RESTORE and bool(partition_path(item.partition)))
    except (InvalidParameter, TypeError):
        return False
