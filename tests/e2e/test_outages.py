"""The DICOM service, or the way to it, fails; nothing is lost, stored twice or given a wrong verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.ports import Ports, free_ports
from local.stack import Stack
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.tcp_proxy import TcpProxy


@pytest.fixture(scope="module")
def proxy() -> Iterator[TcpProxy]:
    with TcpProxy(f"http://127.0.0.1:{free_ports(1)}/v2") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def box(proxy: TcpProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    """A stack of its own, whose app reaches the DICOM service through the proxy."""
    ports = Ports(dicom=proxy.target_port)
    settings = {"DICOM_SERVICE_URL": proxy.url}
    folder = tmp_path_factory.mktemp("outage")
    with Stack(folder, ports=ports, auth=True, poll_seconds=0.25, settings=settings) as stack:
        yield DropBox(stack)


def test_an_answer_that_is_lost_after_the_commit_ends_as_a_duplicate(box: DropBox, proxy: TcpProxy) -> None:
    """The instance is there once; the second attempt finds its own bytes, and that is no conflict."""
    proxy.lose_answers = 1
    instance = make_instance()
    receipt = box.settle("lost answer.dcm", instance.content)
    assert proxy.lose_answers == 0
    assert receipt["verdict"] == "duplicate"
    assert box.get(instance.path, headers={"Accept": "application/dicom"}).content == instance.content
    assert box.adds_up().verdicts == {"duplicate": 1}


def test_a_short_outage_is_waited_out(box: DropBox, proxy: TcpProxy) -> None:
    """The file is put off, tried again, and stored once the service is back; no message is poisoned."""
    proxy.down = True
    name, instance = "patience.dcm", make_instance()
    etag = box.drop(name, instance.content)
    waiting = box.waiting(name)
    assert (waiting["verdict"], waiting["attempts"]) == (None, 1)
    assert waiting["advice"].endswith("It is tried again.")
    lookup = box.get("/studies")
    assert (lookup.status_code, lookup.json()["code"]) == (502, "service-response-lost")
    assert box.get("/health/live").status_code == 200
    proxy.down = False
    # A request may have gone through whose answer was lost.
    assert box.receipt(name, etag)["verdict"] in ("stored", "duplicate")
    failures = box.events("blob_failed")
    assert all(failure["error"].startswith(("RequestNotSent: ", "ResponseLost: ")) for failure in failures)
    assert name not in json.dumps(failures)
    box.adds_up()


def test_an_answer_that_is_cut_is_seen_to_be_cut(box: DropBox, proxy: TcpProxy) -> None:
    """The caller's transfer breaks off instead of ending short, and an event says why; no stack trace is written."""
    instance = make_instance(Rows=2048, Columns=2048, PixelData=bytes(2048 * 2048))
    assert box.settle("to be cut.dcm", instance.content)["verdict"] == "stored"
    proxy.cut_after = 1024 * 1024
    with pytest.raises(httpx.RemoteProtocolError):
        box.get(instance.path)
    proxy.cut_after = None
    [cut] = wait_for(lambda: cuts(box) or None, "no event")
    assert cut["error"].startswith("ResponseLost: retrieve instance")
    assert cut["status"] == 200
    assert "Traceback" not in box.log()
    assert box.get(instance.path).content == instance.content


def cuts(box: DropBox) -> list[dict[str, Any]]:
    """The lookups that the app cut short. One whose caller has all of it and goes may count as not complete, too."""
    lookups = box.events("lookup")
    return [one for one in lookups if not one["complete"] and one["error"] and "ClientDisconnect" not in one["error"]]


def test_a_plan_that_cannot_be_made_is_not_written(box: DropBox, proxy: TcpProxy) -> None:
    """Half a plan would look like a whole one."""
    proxy.down = True
    box.stack.fire("purge_study")
    [failure] = wait_for(lambda: box.events("retention_failed") or None, "nothing failed")
    proxy.down = False
    assert failure["error"].startswith(("RequestNotSent: ", "ResponseLost: "))
    assert not list(box.storage.get_container_client("retention-records").list_blob_names(name_starts_with="plans/"))
