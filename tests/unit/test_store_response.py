"""Reading what a service says of a store."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.dicomweb import InstanceOutcome, InvalidResponse, StoreReason, StoreResult, StoreStatus
from shared.dicomweb.store_response import parse_store_response

SECRET = "CANARY"
ROOT = "https://host/v2/partitions/a"


def element(vr: str, *values: object) -> dict[str, object]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def item(uid: str | None = "1.2", **elements: object) -> dict[str, object]:
    uids = {} if uid is None else {"00081150": element("UI", "1.2.3"), "00081155": element("UI", uid)}
    return {**uids, **{name.removeprefix("x"): value for name, value in elements.items()}}


def comments(*texts: str) -> dict[str, object]:
    return element("SQ", *({"00000902": element("LO", text)} for text in texts))


def test_each_instance_has_its_outcome() -> None:
    """Stored, warned and failed instances are told apart, with the service's codes and the tags it names."""
    dataset = {
        "00081190": element("UR", "https://host/v2/studies/1"),
        "00081199": element(
            "SQ",
            item(
                "1.1",
                x00741048=element("SQ"),
                x00081190=element("UR", f"{ROOT}/studies/2.1-A/series/3.1/instances/1.1"),
            ),
            item(
                "1.2",
                x00081196=element("US", 1),
                x00741048=comments("DICOM100: (0008,0020) - " + SECRET),
                x00081190=element("UR", f"{ROOT}/studies/2.1"),
            ),
        ),
        "00081198": element(
            "SQ",
            item("1.3", x00081197=element("US", 45070)),
            item(None, x00081197=element("US", 43264), x00741048=comments("DICOM100: (0010,002f) - x", "no tag")),
        ),
    }
    result = parse_store_response("store instance", 202, dataset)
    assert result.outcomes == (
        InstanceOutcome(StoreStatus.STORED, "1.1", "1.2.3", study_instance_uid="2.1-A", series_instance_uid="3.1"),
        InstanceOutcome(StoreStatus.WARNED, "1.2", "1.2.3", StoreReason.ATTRIBUTES_DROPPED, ("00080020",)),
        InstanceOutcome(StoreStatus.FAILED, "1.3", "1.2.3", StoreReason.ALREADY_STORED),
        InstanceOutcome(StoreStatus.FAILED, None, None, StoreReason.INVALID, ("0010002F",)),
    )
    assert SECRET not in repr(result)
    not_named = InstanceOutcome(StoreStatus.NOT_NAMED, "1.4")
    assert [result.outcome_of(uid) for uid in ("1.2", "1.4")] == [result.outcomes[1], not_named]


@pytest.mark.parametrize(
    ("result", "uid", "status"),
    [
        (StoreResult(204), "1.2", StoreStatus.NOT_RECEIVED),
        (StoreResult(204), None, StoreStatus.NOT_RECEIVED),
        (StoreResult(200), "1.2", StoreStatus.NOT_NAMED),
        (StoreResult(200, (InstanceOutcome(StoreStatus.STORED, "1.3"),)), "1.2", StoreStatus.NOT_NAMED),
        (StoreResult(200, (InstanceOutcome(StoreStatus.STORED, "1.3"),)), None, StoreStatus.STORED),
        (StoreResult(409, (InstanceOutcome(StoreStatus.FAILED),)), "1.2", StoreStatus.FAILED),
        (StoreResult(200, (InstanceOutcome(StoreStatus.STORED),)), "1.2", StoreStatus.NOT_NAMED),
        (StoreResult(202, (InstanceOutcome(StoreStatus.STORED, "1.3"),) * 2), None, StoreStatus.NOT_NAMED),
    ],
)
def test_outcome_of_what_was_sent(result: StoreResult, uid: str | None, status: StoreStatus) -> None:
    """Nothing received, not named, and failed are told apart, and a lone failure without UIDs is ours."""
    assert result.outcome_of(uid).status is status


def test_stored_and_failed_is_failed() -> None:
    """An answer that contradicts itself does not make a file stored."""
    failed_too = {
        "00081199": element("SQ", item("1.2")),
        "00081198": element("SQ", item("1.2", x00081197=element("US", 272))),
    }
    result = parse_store_response("store instance", 409, failed_too)
    assert result.outcome_of("1.2").status is StoreStatus.FAILED


def test_is_stored() -> None:
    """With a warning or without, and in no other case."""
    stored = [status for status in StoreStatus if InstanceOutcome(status).is_stored]
    assert stored == [StoreStatus.STORED, StoreStatus.WARNED]


@pytest.mark.parametrize("padded", ["1.2", "1.2 ", "1.2\0", "1.2 \0"])
def test_padding(padded: str) -> None:
    """A UID that the service repeats with its padding is still ours (PS3.5 §9.1)."""
    result = parse_store_response("store instance", 200, {"00081199": element("SQ", item(padded))})
    assert result.outcome_of("1.2").status is StoreStatus.STORED


@pytest.mark.parametrize("dataset", [{}, {"00081199": element("SQ")}, {"00081198": {"vr": "SQ", "Value": []}}])
def test_no_items(dataset: object) -> None:
    """An answer that names nobody has no outcomes, and so stored nothing."""
    assert parse_store_response("store instance", 200, dataset).outcomes == ()


@pytest.mark.parametrize(
    "dataset",
    [
        None,
        [],
        [{}],
        "text",
        1,
        {"00081199": SECRET},
        {"00081199": {"Value": SECRET}},
        {"00081199": {"Value": [SECRET]}},
        {"00081199": {"Value": None}},
        {"00081199": {"Value": [None]}},
        {"00081199": element("SQ", item(x00081196=element("US", SECRET)))},
        {"00081199": element("SQ", item(x00081196=element("US", float("inf"))))},
        {"00081198": element("SQ", item(x00081197=element("US", {})))},
        {"00081198": element("SQ", item(x00741048=element("SQ", SECRET)))},
    ],
    ids=json.dumps,
)
def test_malformed(dataset: Any) -> None:
    """What is no store response is InvalidResponse, whatever it is instead, and is not quoted."""
    with pytest.raises(InvalidResponse) as raised:
        parse_store_response("store instance", 200, dataset)
    assert str(raised.value) == "store instance: the answer is of another shape than expected"
