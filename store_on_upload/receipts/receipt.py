"""What a receipt holds: one JSON document for each blob of the inbox (pure; `docs/receipts.md` is its schema).

A document is about the newest version of the blob; the verdicts on earlier versions stand in its list `earlier`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from shared.probe import is_of_probe
from shared.settings import AfterStore
from shared.sources import Policy
from store_on_upload.verdict import REASONS, Decision, Replaced, Verdict

SCHEMA = 1
# Older ones are only counted. A nightly re-run of the same files comes to this in more than a year.
MAX_EARLIER = 500
# Of the app's own probe, which is a new version every few minutes and has its document read while it waits.
MAX_EARLIER_PROBES = 20
MAX_SUPERSEDED = 20


class State(StrEnum):
    """How far a version has come."""

    QUEUED = "queued"  # the sweep has sent it on
    DEFERRED = "deferred"  # waits for its next attempt
    FINAL = "final"  # has its verdict


class Disposition(StrEnum):
    """What becomes of the file after its verdict."""

    KEEP = "keep"
    ARCHIVE = "archive"
    DELETE = "delete"
    QUARANTINE = "quarantine"
    GONE = "gone"  # it was taken away before it had a verdict; where it is back, it is to get one


@dataclass(frozen=True)
class Receipt:
    """What became of one version of a blob, or is to become of it.

    Args:
        blob: its name.
        etag: the version, without quotation marks, as listings have it.
        size_bytes: of the file.
        uploaded_at: when this version was written; as all times, as `timestamp` has it.
        state: how far it has come.
        verdict: None until the state is final.
        reason: a key of `REASONS`.
        failure: of a `gave_up`, the reason of the last failed attempt.
        service_code: WarningReason or FailureReason of the DICOM service.
        attributes: tags that the service named; never their values.
        sha256: of the file; None where the content was never read to its end.
        sent_bytes, sent_sha256: of what was sent; None where nothing was, or not to its end.
        changes: what was changed on the way: `part10` (a head was put in front), `explicit_vr` (transcoded).
        replaced: what gave way to it; for a `conflict` or `duplicate`, what was about to, when it was overtaken.
        attempts: runs that began with the file.
        deferrals: how often it was put off, whether it was tried before or not.
        poisonings: how often the platform set its message aside.
        due_at: when the next attempt is due; None where the state is final.
        failing_seconds: how long it has failed by itself.
        failed_at: when it last failed, and if that was by itself (`failed_by_itself`).
        stuck_since: since when the service says that the instance is being stored.
        source, partition, after_store, on_conflict: the policy applied.
        restored: whether it is of a blob of the vault, from which a study was put back; that stays where it is.
        decided_at: when the verdict was given.
        superseded: other verdicts that replays have replaced, the oldest first: `verdict`, `reason`, `decided_at`.
    """

    blob: str
    etag: str
    size_bytes: int
    uploaded_at: str
    state: State = State.FINAL
    verdict: Verdict | None = None
    reason: str | None = None
    failure: str | None = None
    service_code: int | None = None
    attributes: tuple[str, ...] = ()
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sha256: str | None = None
    sent_bytes: int | None = None
    sent_sha256: str | None = None
    changes: tuple[str, ...] = ()
    replaced: Replaced | None = None
    attempts: int = 0
    deferrals: int = 0
    poisonings: int = 0
    due_at: str | None = None
    failing_seconds: float = 0
    failed_at: str | None = None
    failed_by_itself: bool = False
    stuck_since: str | None = None
    source: str | None = None
    partition: str | None = None
    after_store: str | None = None
    on_conflict: str | None = None
    restored: bool = False
    decided_at: str | None = None
    superseded: tuple[dict[str, str | None], ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether it has its verdict."""
        return self.state is State.FINAL

    @property
    def is_gone(self) -> bool:
        """Whether it was closed because the version was there no longer, which an undeletion makes untrue."""
        return self.reason == "gone"

    @property
    def is_in_service(self) -> bool:
        """Whether the DICOM service has got the instance."""
        return self.verdict is not None and self.verdict.is_in_service

    @property
    def disposition(self) -> Disposition:
        """What becomes of the file; one that was changed on its way is archived, whatever the policy says."""
        if self.is_gone:
            return Disposition.GONE
        if self.verdict is None or self.verdict is Verdict.IGNORED or self.restored:
            return Disposition.KEEP
        if self.verdict.quarantines:
            return Disposition.QUARANTINE
        return Disposition.ARCHIVE if self.changes else Disposition(self.after_store or AfterStore.KEEP)

    def under(self, policy: Policy) -> Receipt:
        """Return it with a policy applied."""
        return replace(
            self,
            source=policy.source,
            partition=policy.partition,
            after_store=policy.after_store,
            on_conflict=policy.on_conflict,
        )

    def decided(self, decision: Decision, now: datetime, **found: Any) -> Receipt:
        """Return it with its verdict, and what was found out on the way."""
        return replace(
            self,
            **found,
            state=State.FINAL,
            verdict=decision.verdict,
            reason=decision.reason,
            service_code=decision.service_code,
            attributes=decision.attributes,
            replaced=decision.replaced,
            due_at=None,
            decided_at=timestamp(now),
        )

    def is_that_of(self, run: Receipt) -> bool:
        """Say whether this is the receipt that a run has given, whatever it has superseded."""
        return replace(self, superseded=run.superseded) == run

    def superseding(self, earlier: Receipt) -> Receipt:
        """Return it with the verdict that it replaces in its list, if that was another one."""
        if (earlier.verdict, earlier.reason) == (self.verdict, self.reason):
            return replace(self, superseded=earlier.superseded)
        verdict = {"verdict": earlier.verdict, "reason": earlier.reason, "decided_at": earlier.decided_at}
        return replace(self, superseded=(*earlier.superseded, verdict)[-MAX_SUPERSEDED:])

    def to_json(self) -> dict[str, Any]:
        """Return it as `docs/receipts.md` has it."""
        advice = {"advice": REASONS[self.reason]} if self.reason else {}
        replaced = asdict(self.replaced) if self.replaced else None
        return {"schema": SCHEMA, **vars(self), "replaced": replaced, **advice}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Receipt:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        if document["schema"] != SCHEMA:
            raise ValueError("a receipt of another schema")
        return _RECEIPT.validate_python(document)


_RECEIPT = TypeAdapter(Receipt)
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
        counts = _verdicts(kept) - _verdicts(listed)
        dropped = {name: self.dropped.get(name, 0) + counts[name] for name in {*self.dropped, *counts}}
        return replace(self, newest=newest, earlier=tuple(listed), dropped=dropped)


def _latest(kept: list[Receipt]) -> list[Receipt]:
    """Return those of some receipts, the oldest first, that are still listed."""
    probes = [one.etag for one in kept if is_of_probe(one.study_instance_uid)]
    too_many = set(probes[:-MAX_EARLIER_PROBES])
    return [one for one in kept if one.etag not in too_many][-MAX_EARLIER:]


def _verdicts(receipts: list[Receipt]) -> Counter[str]:
    return Counter(str(one.verdict) for one in receipts)


def closed(receipt: Receipt, now: datetime) -> Receipt:
    """Return the receipt of a version that is no longer there: what had no verdict yet will not get one."""
    return receipt if receipt.is_final else receipt.decided(Decision(Verdict.IGNORED, "gone"), now)


def merge(
    standing: Document, receipt: Receipt, *, is_current: bool, now: datetime, is_replay: bool = False
) -> Document:
    """Return the document with a receipt taken in; the same one where what stands is to stand.

    The first verdict on a version counts, but for a `duplicate` of what this very version's other run has stored, for
    one that was closed as `gone` while it was being stored or is back, and for what did not get into the service and is
    replayed. Of two versions the newer one's receipt stands.

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
        receipt = receipt.superseding(same) if is_reconsidered else replace(receipt, superseded=same.superseded)
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
    return standing.is_gone


def timestamp(when: datetime) -> str:
    """Return a time as receipts have it: UTC, to the second, so that text compares as time does."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """Read what `timestamp` gave."""
    return datetime.fromisoformat(text)
