"""The receipts of a blob: one JSON document, and which receipt stands when there are two (pure).

It is about the newest version of the blob; the verdicts on earlier versions stand in its list `earlier`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from shared.probe_uids import is_of_probe
from store_on_upload.verdict import Verdict

from .receipt import Receipt, closed

# Older ones are only counted. A nightly re-run of the same files comes to this in more than a year.
MAX_EARLIER = 500
# Of the app's own probe, which is a new version every few minutes and has its document read while it waits.
MAX_EARLIER_PROBES = 20
_DROPPED = TypeAdapter(dict[str, int])


@dataclass(frozen=True)
class Document:
    """A receipt with those of earlier versions, as one blob holds them.

    Args:
        newest: of the version that stands.
        earlier: final receipts of other versions, the oldest first.
        dropped: verdict → how many older ones are no longer listed.
        blob_etag: the version of the receipt's own blob, with its quotation marks; None = not written yet.
    """

    newest: Receipt
    earlier: tuple[Receipt, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    blob_etag: str | None = None

    def of_version(self, etag: str) -> Receipt | None:
        """Return the receipt of a version, standing or earlier."""
        return next((one for one in (self.newest, *reversed(self.earlier)) if one.etag == etag), None)

    def expects(self, etag: str) -> bool:
        """Say whether this takes a version to be the one that the blob has; of any other storage has to be asked."""
        return self.newest.etag == etag and not self.newest.is_gone

    @property
    def versions(self) -> tuple[Receipt, ...]:
        """Every version that is listed, the standing one last."""
        return (*self.earlier, self.newest)

    @property
    def is_cut(self) -> bool:
        """Whether there were more versions than are listed."""
        return bool(self.dropped)

    def to_json(self) -> dict[str, Any]:
        """Return it as `docs/receipts.md` has it."""
        earlier = [receipt.to_json() for receipt in self.earlier]
        return self.newest.to_json() | {"earlier": earlier, "earlier_dropped": self.dropped}

    @classmethod
    def from_json(cls, document: dict[str, Any], blob_etag: str | None = None) -> Document:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        earlier = tuple(Receipt.from_json(one) for one in document["earlier"])
        dropped = _DROPPED.validate_python(document["earlier_dropped"])
        return cls(Receipt.from_json(document), earlier, dropped, blob_etag)

    def with_newest(self, receipt: Receipt, now: datetime) -> Document:
        """Return it with another version's receipt in front; the one that stood, closed, becomes an earlier one."""
        return self._with_earlier([*self.earlier, closed(self.newest, now)], receipt)

    def with_one_of_an_older_version(self, receipt: Receipt) -> Document:
        """Return it with the verdict on a version that has been overwritten since, filed behind the one that stands."""
        return self._with_earlier([*self.earlier, receipt], self.newest)

    def _with_earlier(self, earlier: list[Receipt], newest: Receipt) -> Document:
        # A version that comes up again (a replay, a late run) has one entry: its latest.
        latest = {one.etag: one for one in earlier if one.etag != newest.etag}.values()
        kept = sorted(latest, key=lambda one: one.uploaded_at)
        listed = _latest(kept)
        gone = {one.etag for one in kept} - {one.etag for one in listed}
        if self.is_cut:  # what is too old to be listed when it comes was listed before, and has been counted
            gone &= {one.etag for one in self.versions}
        counts = Counter(str(one.verdict) for one in kept if one.etag in gone)
        dropped = {name: self.dropped.get(name, 0) + counts[name] for name in {*self.dropped, *counts}}
        return replace(self, newest=newest, earlier=tuple(listed), dropped=dropped)


def _latest(kept: list[Receipt]) -> list[Receipt]:
    """Return those of some receipts, the oldest first, that are still listed."""
    probes = [one.etag for one in kept if is_of_probe(one.study_instance_uid)]
    too_many = set(probes[:-MAX_EARLIER_PROBES])
    return [one for one in kept if one.etag not in too_many][-MAX_EARLIER:]


def merge(
    standing: Document, receipt: Receipt, *, is_current: bool, now: datetime, is_replay: bool = False
) -> Document:
    """Return the document with a receipt taken in; the same one where what stands is to stand.

    The first verdict on a version counts, but for a `duplicate` of what this very version's other run has stored, for
    one that says that the service does not have the file while another run has found or stored it there, for one that
    is back, and for what did not get into the service and is replayed. Of two versions the newer one's receipt stands.

    Args:
        standing: what is written.
        receipt: of some version.
        is_current: whether the blob still has that version.
        now: the time.
        is_replay: whether a verdict by which the file is not in the service is to be replaced.
    """
    same = standing.of_version(receipt.etag)
    if same is not None and same.is_final:
        is_reconsidered = is_replay and receipt.is_final and not same.is_in_service
        is_back = same.is_gone and is_current
        if same.is_that_of(receipt) or not (is_reconsidered or is_back or _overrules(receipt, same)):
            return standing
        is_listed = is_reconsidered or not (same.is_in_service or same.is_gone)
        receipt = receipt.superseding(same) if is_listed else replace(receipt, superseded=same.superseded)
    if standing.newest.etag == receipt.etag:
        return replace(standing, newest=receipt)
    if is_current or (same is None and standing.newest.uploaded_at < receipt.uploaded_at):
        return standing.with_newest(receipt, now)
    return standing.with_one_of_an_older_version(closed(receipt, now))


def _overrules(receipt: Receipt, standing: Receipt) -> bool:
    if not receipt.is_in_service:
        return False
    if standing.verdict is Verdict.DUPLICATE:
        return receipt.verdict is not Verdict.DUPLICATE
    return not standing.is_in_service
