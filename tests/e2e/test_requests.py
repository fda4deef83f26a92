"""Receipts and replays over HTTP, through the whole local stack."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from local.samples import with_other_pixels
from local.stack import Stack
from tests.conftest import APPROVAL_KEY, REPLAY_KEY
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.stack_service import Service

CANARY = "CANARY^Jane"


@pytest.fixture(scope="module")
def box(stack: Stack) -> DropBox:
    return DropBox(stack)


def ask(box: DropBox, name: str, **parameters: str) -> httpx.Response:
    return box.get("/receipts", params={"name": name, **parameters})


def replay(
    box: DropBox, body: Any, approval: str | bytes | None = REPLAY_KEY, key: str | None = None
) -> httpx.Response:
    headers: dict[str, str | bytes] = {"x-functions-key": box.stack.function_key if key is None else key}
    if approval is not None:
        headers["x-replay-key"] = approval
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"{box.stack.app_url}/quarantine/replay"
    return httpx.post(url, content=content, headers=headers, timeout=30, trust_env=False)  # type: ignore[arg-type]


def code(response: httpx.Response) -> tuple[int, str]:
    """Return status and code of a problem, which is not kept anywhere, and has nothing of the caller's in it."""
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert "CANARY" not in response.text
    return response.status_code, response.json()["code"]


def test_a_file_that_arrived(box: DropBox) -> None:
    """Its receipt as it is written, whatever the name is made of; the key may stand in the query."""
    name = "receipts/ward 7 & 8/ü+%2B #1?.dcm"
    box.settle(name, make_instance().content)
    response = ask(box, name)
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert response.json() == json.loads(box.blob("dicom-receipts", name) or b"")
    assert response.json()["verdict"] == "stored"
    assert ask(box, name, code=box.stack.function_key).status_code == 200
    assert httpx.get(f"{box.stack.app_url}/receipts", params={"name": name}, trust_env=False).status_code == 401


def test_one_version(box: DropBox) -> None:
    """The receipt of that one alone, standing or earlier; with or without quotation marks."""
    name = "receipts/versions.dcm"
    first, second = (box.settle(name, make_instance().content)["etag"] for _ in range(2))
    for etag in (first, f'"{first}"', second):
        response = ask(box, name, etag=etag)
        assert response.status_code == 200
        assert (response.json()["etag"], "earlier" in response.json()) == (etag.strip('"'), False)
    assert code(ask(box, name, etag="0x1")) == (404, "no-receipt")


def test_a_file_that_waits(box: DropBox) -> None:
    """202, and when to ask again."""
    name = "receipts/waits.dcm"
    receipt = box.settle(name, make_instance().content)
    waiting = receipt | {"state": "deferred", "verdict": None, "due_at": "2100-01-01T00:00:00Z"}
    box.storage.get_blob_client("dicom-receipts", name).upload_blob(json.dumps(waiting), overwrite=True)
    response = ask(box, name)
    assert (response.status_code, response.json()["state"]) == (202, "deferred")
    assert int(response.headers["retry-after"]) > 86_400
    overdue = waiting | {"due_at": "2020-01-01T00:00:00Z"}
    box.storage.get_blob_client("dicom-receipts", name).upload_blob(json.dumps(overdue), overwrite=True)
    assert ask(box, name).headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "name=",
        f"name={CANARY}&name={CANARY}",
        f"name={CANARY}&other=1",
        f"Name={CANARY}",
        f"name={CANARY}/../1",
        f"name={CANARY}&etag=",
        f"name={CANARY}&etag=%00",
        f"name={CANARY}{'x' * 1024}",
    ],
)
def test_a_question_that_cannot_be_answered(box: DropBox, query: str) -> None:
    """400, which says which parameter is meant, and never what stood in it."""
    assert code(box.get(f"/receipts?{query}")) == (400, "invalid-parameter")


def test_no_receipt(box: DropBox) -> None:
    """404 while there is none; 500 with a remedy for one that nobody can read."""
    assert code(ask(box, f"{CANARY}.dcm")) == (404, "no-receipt")
    name = f"{CANARY}/broken.dcm"
    box.storage.get_blob_client("dicom-receipts", name).upload_blob(b'{"state": 1}')
    response = ask(box, name)
    assert code(response) == (500, "unreadable-receipt")
    assert "Delete it" in response.json()["title"]


def in_conflict(box: DropBox, name: str) -> str:
    """Bring a file into quarantine; return the path of the study that stands in its way."""
    instance = make_instance()
    box.settle(f"{name}.first.dcm", instance.content)
    assert box.settle(name, with_other_pixels(instance.content))["verdict"] == "conflict"
    wait_for(lambda: True if box.blob("dicom-inbox", name) is None else None, f"{name} is still in the inbox")
    return f"/studies/{instance.study}"


def test_a_replay(box: DropBox) -> None:
    """Nothing happens unless it is said so; then the file comes to its new verdict, and leaves quarantine."""
    name = f"replay/{CANARY} ü.dcm"
    study = in_conflict(box, name)
    Service(box.stack).delete(study)
    response = replay(box, {"name": name})
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert response.json() == {"dry_run": True, "found": 1, "sent": 0, "continuation": None}
    assert ask(box, name).json()["verdict"] == "conflict"
    assert replay(box, {"name": name, "dry_run": False}).json()["sent"] == 1
    wait_for(lambda: True if box.blob("dicom-quarantine", name) is None else None, "it is in quarantine still")
    wait_for(lambda: True if box.blob("dicom-quarantine-reasons", f"{name}.json") is None else None, "so is its reason")
    receipt = ask(box, name).json()
    assert (receipt["verdict"], [one["verdict"] for one in receipt["superseded"]]) == ("stored", ["conflict"])
    assert box.get(study + "/series").json()


def test_a_replay_of_all(box: DropBox) -> None:
    """Counts, without a name."""
    in_conflict(box, f"replay/{CANARY}.dcm")
    response = replay(box, {"all": True})
    assert response.json()["found"] >= 1
    assert response.json() | {"found": 0} == {"dry_run": True, "found": 0, "sent": 0, "continuation": None}
    assert "CANARY" not in response.text


@pytest.mark.parametrize("approval", [None, "", "wrong", REPLAY_KEY[:-1], REPLAY_KEY + "x", APPROVAL_KEY, "ü".encode()])
def test_a_replay_without_approval(box: DropBox, approval: str | bytes | None) -> None:
    """403, whatever the body is; and 401 without the function key, whatever the approval."""
    for body in ({"all": True, "dry_run": False}, b"no JSON"):
        assert code(replay(box, body, approval)) == (403, "wrong-replay-key")
    assert replay(box, {"all": True}, key="wrong").status_code == 401


BODIES: list[Any] = [
    b"",
    b"no JSON",
    b"\xff",
    [],
    {},
    {"all": False},
    {"all": 1},
    {"name": CANARY, "all": True},
    {"name": ""},
    {"name": f"{CANARY}/../1"},
    {"name": "\ud800"},
    {"name": CANARY, "continuation": "1"},
    {"name": CANARY, "dry_run": "no"},
    {"all": True, "other": CANARY},
    {"all": True, "continuation": "x" * 1000},
    {"name": CANARY, "dry_run": True, "padding": "x" * 100_000},
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body)[:40])
def test_a_body_that_is_none(box: DropBox, body: Any) -> None:
    """400, and nothing of it in the answer."""
    assert code(replay(box, body)) == (400, "invalid-body")


def test_a_replay_of_what_is_not_there(box: DropBox) -> None:
    """404."""
    assert code(replay(box, {"name": f"{CANARY}.dcm", "dry_run": False})) == (404, "not-in-quarantine")


def test_each_request_is_a_line_of_the_log(box: DropBox) -> None:
    """What was asked and how it went, and nothing else of it."""
    ask(box, f"{CANARY}.dcm")
    replay(box, {"all": True}, approval="wrong")
    last = wait_for(lambda: box.events("request")[-2:] or None, "no line")
    assert [(line["transaction"], line["status"], line["error"]) for line in last] == [
        ("look up receipt", 404, "Refused: no-receipt"),
        ("replay quarantine", 403, "Refused: wrong-replay-key"),
    ]
    assert "CANARY" not in box.log()
