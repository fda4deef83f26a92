"""Messages of the queue `dicom-arrivals`, of any bytes and of any content."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from shared.arrivals import Arrival, Door, Renamed, write_message
from shared.settings import QUARANTINE, VAULT
from store_on_upload.doors.arrivals import UnreadableMessage, read_message

INBOX = "dicom-inbox"
SUBJECT = f"/blobServices/default/containers/{INBOX}/blobs/a.dcm"
QUEUE_MESSAGE_BYTES = 64 * 1024


@given(st.binary() | st.binary().map(base64.b64encode) | st.text().map(str.encode))
@example(b"[" * 65_536)
@example(base64.b64encode(b'{"a":' * 9_000))
@example(b"1" * 5_000)
@example(b"")
def test_arbitrary_bytes_are_unreadable(body: bytes) -> None:
    """Nothing else is ever raised; only an empty list says nothing."""
    with suppress(UnreadableMessage):
        assert read_message(body, INBOX) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.just(SUBJECT),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["api", "eTag", "url", "names", "door"]), inner),
    max_leaves=6,
)
KEYS = ["eventType", "type", "subject", "data", "dicom_dropbox", "arrival", "renamed"]
KINDS = st.sampled_from(["Microsoft.Storage.BlobCreated", "Microsoft.Storage.DirectoryRenamed", 1])


@given(st.dictionaries(st.sampled_from(KEYS), KINDS | JSON))
def test_arbitrary_objects_are_read_or_unreadable(message: dict[str, Any]) -> None:
    """Fields of any kind where others belong raise nothing else."""
    with suppress(UnreadableMessage):
        read_message(json.dumps(message).encode(), INBOX)


NAMES = st.text(min_size=1, max_size=80).filter(lambda name: "." not in name)
SOME_NAMES = st.lists(NAMES, min_size=1, max_size=4).map(tuple)
DOORS = st.sampled_from([door for door in Door if not door.is_asked_for])
RESTORED = st.builds(
    Arrival,
    SOME_NAMES,
    st.just(Door.RESTORE),
    container=st.just(VAULT),
    partition=st.sampled_from([None, "site-a"]),
)
REPLAYED = st.builds(Arrival, SOME_NAMES, st.just(Door.REPLAY), container=st.just(QUARANTINE))
ARRIVALS = RESTORED | REPLAYED | st.builds(Arrival, SOME_NAMES, DOORS)


@given(ARRIVALS | st.builds(Renamed, NAMES, st.none() | st.text()))
@example(Arrival(("a#b %41 \ufffd 🫀.dcm",), Door.DEFERRAL))
@example(Arrival(tuple(sign * 512 for sign in "🫀🫁🧠🦴"), Door.REPLAY, QUARANTINE))
def test_our_own_messages_say_what_was_written(item: Arrival | Renamed) -> None:
    """In ASCII, and within what a queue's message holds."""
    text = write_message(item)
    assert read_message(text.encode("ascii"), INBOX) == [item]
    assert len(text) <= QUEUE_MESSAGE_BYTES
