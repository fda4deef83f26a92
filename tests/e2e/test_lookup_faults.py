"""Each way in which the local service fails, for each kind of lookup: what the caller gets is what is documented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.kit.drop_box import Instance, make_instance
from tests.kit.stack_service import Service

# Kind at the service → the lookups that ask it.
LOOKUPS = {
    "search": ("/studies?PatientID=FAULTS", "/studies/{study}/series", "/studies/{study}/series/{series}/instances"),
    "retrieve": ("/studies/{study}", "/studies/{study}/series/{series}", "{instance}"),
    "metadata": ("/studies/{study}/metadata", "{instance}/metadata"),
    "frames": ("{instance}/frames/1",),
    "rendered": ("{instance}/rendered", "{instance}/frames/1/rendered", "{instance}/thumbnail"),
}
ONE_EACH = [(kind, paths[0]) for kind, paths in LOOKUPS.items()]
CASES = [(kind, path) for kind, paths in LOOKUPS.items() for path in paths]
FOR_GOOD: dict[str, Any] = {"requests": None}
NOT_SOON = {"retry_after": "100"}


@dataclass(frozen=True)
class Told:
    """What a caller gets: a status and a problem's code; "cut" stands for an answer that breaks off."""

    status: int | str
    code: str | None = None
    retry_after: str | None = None


@dataclass(frozen=True)
class Faulty:
    """The stack with an instance, at whose service faults can be set."""

    stack: Stack
    instance: Instance
    http: httpx.Client

    @property
    def service(self) -> Service:
        """What fails."""
        return Service(self.stack)

    def ask(self, path: str) -> Told:
        """Look something up."""
        one = self.instance
        url = self.stack.app_url + path.format(study=one.study, series=one.series, instance=one.path)
        headers = {"x-functions-key": self.stack.function_key}
        try:
            response = self.http.get(url, headers=headers)
        except httpx.RemoteProtocolError:
            return Told("cut")
        is_problem = response.headers["content-type"] == "application/problem+json"
        code = response.json()["code"] if is_problem else None
        return Told(response.status_code, code, response.headers.get("retry-after"))


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """Making one takes longer than most lookups."""
    with httpx.Client(timeout=60, trust_env=False) as http:
        yield http


@pytest.fixture(scope="module")
def stored(stack: Stack) -> Instance:
    """An instance of which every lookup finds something."""
    instance = make_instance(PatientID="FAULTS")
    Service(stack).store(instance.content)
    return instance


@pytest.fixture
def faulty(stack: Stack, stored: Instance, http: httpx.Client) -> Iterator[Faulty]:
    """The faults end with the test."""
    faulty = Faulty(stack, stored, http)
    yield faulty
    faulty.service.mend()


@pytest.mark.parametrize(("kind", "path"), CASES)
@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, Told(502, "service-denied-access")),
        (403, Told(502, "service-denied-access")),
        (424, Told(502, "service-failed")),
        (429, Told(429, "service-throttles", "100")),
        (500, Told(502, "service-failed")),
        (503, Told(503, "service-busy", "100")),
    ],
    ids=str,
)
def test_a_status(faulty: Faulty, kind: str, path: str, status: int, told: Told) -> None:
    """Whatever is asked for; what may come again in a while says when."""
    faulty.service.inject(fault="status", kind=kind, status=status, **NOT_SOON, **FOR_GOOD)
    assert faulty.ask(path) == told


@pytest.mark.parametrize(("kind", "path"), CASES)
def test_404_is_nothing_there_but_for_searches(faulty: Faulty, kind: str, path: str) -> None:
    """A search that is not found is no DICOM service's."""
    faulty.service.inject(fault="status", kind=kind, status=404, **FOR_GOOD)
    told = faulty.ask(path)
    assert told.status == (502 if kind == "search" else 404)
    assert told.code in ({"invalid-service-response"} if kind == "search" else {"not-found", "no-picture"})


@pytest.mark.parametrize(("kind", "path"), CASES)
def test_406_is_no_such_form_but_for_thumbnails(faulty: Faulty, kind: str, path: str) -> None:
    """What the service does not draw shows nothing; where all is like that, there is no picture."""
    faulty.service.inject(fault="status", kind=kind, status=406, **FOR_GOOD)
    is_thumbnail = path.endswith("/thumbnail")
    assert faulty.ask(path) == (Told(404, "no-picture") if is_thumbnail else Told(406, "not-acceptable"))


@pytest.mark.parametrize(("kind", "path"), ONE_EACH)
@pytest.mark.parametrize("fault", [{"fault": "status", "status": 503}, {"fault": "drop_after_commit"}], ids=str)
def test_what_fails_once_is_asked_again(faulty: Faulty, kind: str, path: str, fault: dict[str, Any]) -> None:
    """The caller sees nothing of it."""
    faulty.service.inject(kind=kind, **fault)
    assert faulty.ask(path) == Told(200)


@pytest.mark.parametrize(("kind", "path"), ONE_EACH)
def test_no_answer_at_all(faulty: Faulty, kind: str, path: str) -> None:
    """However often it is asked."""
    faulty.service.inject(fault="drop_after_commit", kind=kind, **FOR_GOOD)
    assert faulty.ask(path) == Told(502, "service-response-lost")


@pytest.mark.parametrize(("kind", "path"), CASES)
def test_late_is_not_wrong(faulty: Faulty, kind: str, path: str) -> None:
    """What takes longer than that which is allowed is tested where that can be shorter."""
    faulty.service.inject(fault="delay", kind=kind, seconds=0.1)
    assert faulty.ask(path) == Told(200)


@pytest.mark.parametrize(("kind", "path"), [case for case in CASES if case[0] != "search"])
def test_cut_in_the_middle(faulty: Faulty, kind: str, path: str) -> None:
    """The status has gone: the caller's connection is cut as well."""
    faulty.service.inject(fault="cut", kind=kind, bytes=60 if kind == "frames" else 200, **FOR_GOOD)
    assert faulty.ask(path).status in ("cut", 502)


@pytest.mark.parametrize(("kind", "path"), CASES)
def test_cut_before_the_first_byte(faulty: Faulty, kind: str, path: str) -> None:
    """There is a status still."""
    faulty.service.inject(fault="cut", kind=kind, bytes=0, **FOR_GOOD)
    assert faulty.ask(path) == Told(502, "service-response-lost")


@pytest.mark.parametrize(("kind", "path"), CASES)
def test_an_answer_that_ends_too_early_as_if_it_were_whole(faulty: Faulty, kind: str, path: str) -> None:
    """Seen wherever the form tells its end: multipart by its last line, JSON by its last bracket."""
    faulty.service.inject(fault="truncate", kind=kind, **FOR_GOOD)
    assert faulty.ask(path) == (Told(502, "invalid-service-response") if kind == "search" else Told("cut"))


@pytest.mark.parametrize(("kind", "path"), ONE_EACH)
def test_throttled_for_a_second(faulty: Faulty, kind: str, path: str) -> None:
    """As long as the wait that the service asks for is short, the caller sees nothing of it but the time."""
    faulty.service.inject(fault="throttle", kind=kind, per_second=1)
    assert faulty.ask(path) == Told(200)
    assert faulty.ask(path) == Told(200)
