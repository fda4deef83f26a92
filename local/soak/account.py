"""At the end of a soak: what was dropped, beside what is in the receipts, the containers and the DICOM service."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.commands import ROOT, no_proxy
from local.soak.dropping import Dropped
from local.stack import Stack
from shared.settings import ARCHIVE, DEFAULT_INBOX, QUARANTINE, QUARANTINE_REASONS, RECEIPTS

_AT_ONCE = 8
_PAGE = 200
_IN_SERVICE = ("stored", "stored_with_warnings", "duplicate")

Receipt = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """What was found.

    Args:
        verdicts: verdict, with its reason → how many versions have it.
        differences: a sentence each.
    """

    verdicts: Counter[str]
    differences: list[str]


def pending(storage: BlobServiceClient, dropped: Iterable[Dropped]) -> int:
    """Count the files whose newest version has no verdict, or is still where it should not be; by two listings."""
    listed = storage.get_container_client(RECEIPTS).list_blobs(include=["metadata"])
    receipts = {blob.name: blob.metadata for blob in listed}
    inbox = set(storage.get_container_client(DEFAULT_INBOX).list_blob_names())
    newest = {each.drop.name: each.etag for each in dropped}
    return sum(not _is_done(receipts.get(name, {}), etag, name in inbox) for name, etag in newest.items())


def _is_done(receipt: dict[str, str], etag: str, is_in_inbox: bool) -> bool:
    is_final = receipt.get("etag") == etag and receipt.get("state") == "final"
    return is_final and is_in_inbox == (receipt.get("disposition") == "keep")


def settle(stack: Stack, dropped: list[Dropped]) -> Account:
    """Compare, version by version; every content is read and hashed."""
    with BlobServiceClient.from_connection_string(stack.connection_string) as storage:
        documents = {name: json.loads(content) for name, content in _contents(storage, RECEIPTS)}
        stored = _stored(stack)
        given = {one["etag"]: one for document in documents.values() for one in (document, *document["earlier"])}
        differences = [
            *_in_receipts(documents, given, dropped),
            *_in_service(given, stored, dropped),
            *in_containers(storage, given, dropped),
            *_in_reconciliation(stack, given),
        ]
    verdicts = Counter(" ".join(filter(None, (one["verdict"], one["reason"]))) for one in given.values())
    return Account(verdicts, differences)


def _in_receipts(documents: dict[str, Receipt], given: dict[str, Receipt], dropped: list[Dropped]) -> Iterator[str]:
    newest = {each.drop.name: each for each in dropped}
    for name in documents.keys() ^ newest.keys():
        yield f"{name}: a receipt without a file, or a file without a receipt"
    for name in documents.keys() & newest.keys():
        document, etag = documents[name], newest[name].etag
        if (document["etag"], document["state"]) != (etag, "final"):
            yield f"{name}: the newest version has no verdict"
    known = {each.etag: each for each in dropped}
    for etag, one in given.items():
        if etag not in known:
            yield f"{one['blob']}: a receipt of a version that never was"
        elif one["sha256"] not in (known[etag].drop.sha256, None):
            yield f"{one['blob']}: the hash of another file"


def _in_service(given: dict[str, Receipt], stored: dict[str, list[str]], dropped: list[Dropped]) -> Iterator[str]:
    versions: dict[str | None, list[Dropped]] = defaultdict(list)
    for each in dropped:
        versions[each.drop.sop_instance_uid].append(each)
    for each in versions.pop(None, []):
        if _verdict(given, each) not in ("rejected", "gone"):
            yield f"{each.drop.name}: no DICOM, and not rejected"
    for unknown in stored.keys() - versions.keys():
        yield f"an instance that nobody dropped: {unknown}"
    for sop_instance_uid, group in versions.items():
        yield from _of_instance(given, stored.get(sop_instance_uid or "", []), group)


def _of_instance(given: dict[str, Receipt], stored: list[str], group: list[Dropped]) -> Iterator[str]:
    """Compare all files of one instance: those with the bytes that are stored have passed, no others have."""
    name = group[0].drop.name
    if len(stored) != 1:
        yield f"{name}: in the service {len(stored)} times"
    verdicts = [(_verdict(given, each), each.drop.sha256 in stored) for each in group]
    if sum(verdict == "stored" for verdict, _ in verdicts) > 1:
        yield f"{name}: stored more than once"
    for verdict, is_stored in verdicts:
        if verdict != "gone" and (verdict in _IN_SERVICE, verdict == "conflict") != (is_stored, not is_stored):
            yield f"{name}: {verdict}, and its bytes are {'' if is_stored else 'not '}in the service"


def _verdict(given: dict[str, Receipt], each: Dropped) -> str:
    """Return a version's verdict; `gone` if it was overwritten before it had another."""
    one = given.get(each.etag)
    return "gone" if one is None or one["reason"] == "gone" else str(one["verdict"])


def in_containers(storage: BlobServiceClient, given: dict[str, Receipt], dropped: list[Dropped]) -> Iterator[str]:
    """Compare what is in each container with what the receipts say is there; a second copy is a difference, too.

    A version that its producer has overwritten in the inbox may have been copied before, or not.
    """
    newest = {each.drop.name: each.etag for each in dropped}
    hashes = {each.etag: each.drop.sha256 for each in dropped}
    overwritten = {each.overwrote for each in dropped}
    wanted: dict[str, Counter[str]] = {DEFAULT_INBOX: Counter(), ARCHIVE: Counter(), QUARANTINE: Counter()}
    allowed: dict[str, Counter[str]] = defaultdict(Counter)
    for etag, one in given.items():
        place = _place(one)
        if place in (ARCHIVE, QUARANTINE) or (place == DEFAULT_INBOX and newest.get(one["blob"]) == etag):
            (allowed if etag in overwritten else wanted)[place][hashes.get(etag, "")] += 1
    for container, expected in wanted.items():
        found = Counter(hashlib.sha256(content).hexdigest() for _, content in _contents(storage, container))
        lost, doubled = expected - found, found - expected - allowed[container]
        if lost or doubled:
            yield f"{container}: {lost.total()} files are missing, {doubled.total()} should not be there"
    files, reasons = (_names(storage, container) for container in (QUARANTINE, QUARANTINE_REASONS))
    if {f"{name}.json" for name in files} != reasons:
        yield f"{QUARANTINE}: {len(files)} files, {len(reasons)} reasons, not of the same names"


def _in_reconciliation(stack: Stack, given: dict[str, Receipt]) -> Iterator[str]:
    """Compare with what an operator is told, who does not know what was dropped."""
    command = [sys.executable, "-m", "store_on_upload.reconcile", "--json"]
    environment = {**stack.environment(), **no_proxy()}
    told = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False)  # noqa: S603 - our own
    if told.returncode not in (0, 1):
        yield "make reconcile: it could not be told"
        return
    report = json.loads(told.stdout)
    for kind, count in report["differences"].items():
        yield f"make reconcile: {kind} {count}"
    if report["verdicts"] != Counter(one["verdict"] for one in given.values()) or report["pending"]:
        yield "make reconcile: other numbers of verdicts"


def _place(receipt: Receipt) -> str | None:
    """Return the container that the file of a version is in; None for one that was deleted."""
    match receipt["verdict"]:
        case "conflict" | "rejected" | "gave_up":
            return QUARANTINE
        case "ignored":
            return None if receipt["reason"] == "gone" else DEFAULT_INBOX
    return {"keep": DEFAULT_INBOX, "archive": ARCHIVE}.get(receipt["after_store"])


def _names(storage: BlobServiceClient, container: str) -> set[str]:
    return set(storage.get_container_client(container).list_blob_names())


def _contents(storage: BlobServiceClient, container: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each blob."""
    client: ContainerClient = storage.get_container_client(container)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        yield from threads.map(
            lambda name: (name, client.download_blob(name).readall()), list(client.list_blob_names())
        )


def _stored(stack: Stack) -> dict[str, list[str]]:
    """Return SOP Instance UID → hashes of the instances that the service has under it."""
    headers = {"Authorization": f"Bearer {stack.token()}"}
    with httpx.Client(base_url=stack.dicom_url, headers=headers, timeout=60, trust_env=False) as service:

        def content_of(instance: dict[str, Any]) -> tuple[str, str]:
            study, series, sop = (instance[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
            answer = service.get(
                f"/studies/{study}/series/{series}/instances/{sop}",
                headers={"Accept": "application/dicom; transfer-syntax=*"},
            )
            return sop, hashlib.sha256(answer.raise_for_status().content).hexdigest()

        found: dict[str, list[str]] = defaultdict(list)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for sop, sha256 in threads.map(content_of, list(_instances(service))):
                found[sop].append(sha256)
        return found


def _instances(service: httpx.Client) -> Iterator[dict[str, Any]]:
    for offset in range(0, 10**9, _PAGE):
        query = {"limit": _PAGE, "offset": offset}
        answer = service.get("/instances", params=query, headers={"Accept": "application/dicom+json"})
        page = answer.json() if answer.status_code == 200 else []
        yield from page
        if len(page) < _PAGE:
            return
