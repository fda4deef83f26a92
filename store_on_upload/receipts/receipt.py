"""What a receipt holds: what became of one version of a blob (pure; `docs/receipts.md` is its schema)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from shared.settings import AfterStore
from shared.sources import Policy
from store_on_upload.verdict import Decision, Replaced, Verdict, advice_on

SCHEMA = 1
MAX_SUPERSEDED = 20
_QUARANTINING = [verdict for verdict in Verdict if verdict.quarantines]


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
        poisonings: how often the platform set its message aside: once per try that was due, and never in an outage.
        due_at: when the next attempt is due; None where the state is final.
        failing_seconds: how long it has failed by itself.
        failed_at: when it last failed, and if that was by itself (`failed_by_itself`).
        stuck_since: since when the service says that the instance is being stored.
        source, partition, after_store, on_conflict: the policy applied.
        restored: whether it is of a blob of the vault, from which a study was put back; that stays where it is.
        decided_at: when the verdict was given.
        superseded: other verdicts, replaced by replays, or by a run that found the file in the service after another
            one had refused it; the oldest first: `verdict`, `reason`, `decided_at`.
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
    def has_failed_by_itself(self) -> bool:
        """Whether the file is known to have failed by itself."""
        return self.failed_by_itself or self.failing_seconds > 0

    @property
    def is_gone(self) -> bool:
        """Whether it was closed because the version was there no longer, which an undeletion makes untrue."""
        return self.reason == "gone"

    @property
    def was_quarantined(self) -> bool:
        """Whether it replaces a verdict by which another run may have put the file into quarantine."""
        return any(one["verdict"] in _QUARANTINING for one in self.superseded)

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
        """Return it with the verdict that it replaces in its list, if that was another one; a copy stays named."""
        replaced = self.replaced or earlier.replaced
        if (earlier.verdict, earlier.reason) == (self.verdict, self.reason):
            return replace(self, replaced=replaced, superseded=earlier.superseded)
        verdict = {"verdict": earlier.verdict, "reason": earlier.reason, "decided_at": earlier.decided_at}
        return replace(self, replaced=replaced, superseded=(*earlier.superseded, verdict)[-MAX_SUPERSEDED:])

    def to_json(self) -> dict[str, Any]:
        """Return it as `docs/receipts.md` has it."""
        text = advice_on(self.verdict, self.reason, self.service_code)
        advice = {"advice": text} if text else {}
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
        receipt = _RECEIPT.validate_python(document)
        times = (receipt.uploaded_at, receipt.due_at, receipt.failed_at, receipt.stuck_since, receipt.decided_at)
        if any(parse_timestamp(time).tzinfo is None for time in times if time is not None):
            raise ValueError("a time without its zone")
        return receipt


_RECEIPT = TypeAdapter(Receipt)


def closed(receipt: Receipt, now: datetime) -> Receipt:
    """Return the receipt of a version that is no longer there: what had no verdict yet will not get one."""
    return receipt if receipt.is_final else receipt.decided(Decision(Verdict.IGNORED, "gone"), now)


def timestamp(when: datetime) -> str:
    """Return a time as receipts have it: UTC, to the second, so that text compares as time does."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """Read what `timestamp` gave."""
    return datetime.fromisoformat(text)
