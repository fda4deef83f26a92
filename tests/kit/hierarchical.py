"""An account with a hierarchical namespace, which Azurite has not: its listings have every folder as a blob."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from tests.kit.connection_strings import endpoint, through
from tests.kit.gateway import Gateway, Step

_PROPERTIES = {
    "Last-Modified": "Mon, 02 Mar 2026 12:00:00 GMT",
    "Etag": "0x8DF0000000000FF",
    "Content-Length": "0",
    "Content-Type": "application/octet-stream",
    "BlobType": "BlockBlob",
    "LeaseStatus": "unlocked",
    "LeaseState": "available",
}


class Folders:
    """The folders that writing blobs has made; they stay when the blobs are gone."""

    def __init__(self) -> None:
        self._made: dict[str, set[str]] = defaultdict(set)

    def rewritten(self, step: Step, answer: bytes) -> bytes:
        """Return an answer of Azurite's as such an account would have given it."""
        address = urlsplit(step.path)
        _, _, container, *parts = unquote(address.path).split("/")
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if step.method == "PUT":
            self._made[container] |= {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if query.get("comp") != "list" or parts or "delimiter" in query or not answer.startswith(b"HTTP/1.1 200"):
            return answer
        head, _, body = answer.partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            body = _joined(body)
        body = self._with_folders(container, query, body)
        head = re.sub(rb"\r\n(transfer-encoding|content-length):[^\r]*", b"", head, flags=re.IGNORECASE)
        return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)

    def _with_folders(self, container: str, query: dict[str, str], body: bytes) -> bytes:
        listing = fromstring(body.decode().lstrip("\ufeff"))
        blobs = listing.find("Blobs")
        assert blobs is not None
        assert not listing.findtext("NextMarker"), "folders have their places in one page alone"
        folders = [name for name in self._made[container] if name.startswith(query.get("prefix", ""))]
        entries = [*blobs, *(_entry(name, query.get("include", "")) for name in folders)]
        blobs[:] = sorted(entries, key=lambda entry: entry.findtext("Name", ""))
        return bytes(tostring(listing, encoding="utf-8", xml_declaration=True))


def _entry(name: str, include: str) -> Element:
    entry = Element("Blob")
    SubElement(entry, "Name").text = name
    properties = SubElement(entry, "Properties")
    for key, value in _PROPERTIES.items():
        SubElement(properties, key).text = value
    if "metadata" in include:
        SubElement(SubElement(entry, "Metadata"), "hdi_isfolder").text = "true"
    return entry


def _joined(chunked: bytes) -> bytes:
    found = b""
    while (size := int(chunked.partition(b"\r\n")[0], 16)) > 0:
        _, _, rest = chunked.partition(b"\r\n")
        found, chunked = found + rest[:size], rest[size + 2 :]
    return found


@contextmanager
def hierarchical(connection_string: str) -> Iterator[str]:
    """Yield the connection string of an account whose blobs are in folders."""
    with Gateway(endpoint(connection_string, "blob"), rewritten=Folders().rewritten) as gateway:
        yield through(connection_string, blob=gateway.urls[0])
