"""Searches through the whole local stack: what the service does not take is answered all the same, and pages go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import jsonschema
import pytest

from local.stack import Stack
from local.tokens import Bearer
from query_api.searching.plain import schema
from shared.dicomweb import Body, DICOMwebClient, ExtendedQueryTag
from tests.kit.drop_box import DropBox, wait_for
from tests.kit.files import FULL, Sample
from tests.kit.stack_service import Service

MANY = 455
STUDY = "0020000D"


@pytest.fixture(scope="module")
def box(stack: Stack) -> DropBox:
    return DropBox(stack)


@asynccontextmanager
async def client_of(stack: Stack, partition: str | None = None) -> AsyncIterator[DICOMwebClient]:
    async with DICOMwebClient(stack.dicom_url, auth=Bearer(stack.token())) as client:
        yield client if partition is None else client.partition(partition)


def store(stack: Stack, samples: Iterable[Sample], partition: str | None = None) -> None:
    """Store samples past the app, some at a time; those of one study one after the other."""

    async def store_all() -> None:
        places = asyncio.Semaphore(8)
        async with client_of(stack, partition) as client:

            async def store_one(sample: Sample) -> None:
                async with places:
                    await client.store_instance(Body.from_bytes(sample.content))

            await asyncio.gather(*map(store_one, samples))

    asyncio.run(store_all())


def with_elements(**values: str) -> dict[int, tuple[str, bytes] | None]:
    """Return a sample's elements with some values, by names of their own."""
    tags = {
        "patient": (0x00100020, "LO"),
        "name": (0x00100010, "PN"),
        "physician": (0x00080090, "PN"),
        "accession": (0x00080050, "SH"),
        "modality": (0x00080060, "CS"),
        "description": (0x00081030, "LO"),
        "date": (0x00080020, "DA"),
    }
    elements: dict[int, tuple[str, bytes] | None] = {0x00080005: ("CS", b"ISO_IR 100")}
    for name, value in values.items():
        tag, vr = tags[name]
        elements[tag] = (vr, value.encode("latin-1"))
    return elements


@pytest.fixture(scope="module")
def many(partitioned_stack: Stack) -> list[Sample]:
    """More studies than the service gives at a time, in a partition of their own."""
    samples = [Sample() for _ in range(MANY)]
    store(partitioned_stack, samples, "many")
    return samples


@pytest.fixture(scope="module")
def partitions(partitioned_stack: Stack) -> DropBox:
    return DropBox(partitioned_stack)


@pytest.fixture(scope="module")
def few(stack: Stack) -> dict[str, Sample]:
    """Three studies, with different names; one has two series and three instances."""
    samples = {
        "ct": Sample(elements=with_elements(patient="FEW-1", name="Müller^Änne", accession="F/1", modality="CT")),
        "mr": Sample(elements=with_elements(patient="FEW-2", name="Mulder^Fox", accession="F/2", modality="MR")),
        "sr": Sample(elements=with_elements(patient="FEW-3", name="Fox^Mulder", accession="G/1", modality="SR")),
    }
    ct, mr = samples["ct"], samples["mr"]
    other_series = with_elements(patient="FEW-1", name="Müller^Änne", accession="F/1", modality="PT")
    store(stack, [*samples.values()])
    store(stack, [ct.sibling(elements=ct.elements), Sample(study=ct.study, elements=other_series)])
    store(stack, [Sample(study=mr.study, elements=mr.elements)])
    return samples


def studies_of(response: httpx.Response) -> list[str]:
    """Return the UIDs of the studies found, in their order."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/dicom+json"
    return [row[STUDY]["Value"][0] for row in response.json()]


def test_pages_go_past_the_services_own(partitions: DropBox, many: list[Sample]) -> None:
    """One answer has 450 results, its link the rest: each study once, newest first, as the service has them."""
    first = partitions.get("/partitions/many/studies?PatientID=ID1&limit=450")
    assert "additional results" in first.headers["warning"]
    url = first.links["next"]["url"]
    base = f"{partitions.stack.app_url}/partitions/many/studies"
    assert url.startswith(f"{base}?")
    rest = partitions.get(url.removeprefix(partitions.stack.app_url))
    assert "link" not in rest.headers
    found = studies_of(first) + studies_of(rest)
    assert (len(first.json()), len(found)) == (450, MANY)
    assert {f"{base}/{sample.study}" for sample in many} == {
        row["00081190"]["Value"][0] for row in first.json() + rest.json()
    }
    assert studies_of(partitions.get("/partitions/many/studies")) == found
    assert studies_of(partitions.get("/partitions/many/studies?limit=7&offset=446")) == found[446:453]
    assert studies_of(partitions.get("/partitions/many/studies?PatientName=D*&limit=7&offset=446")) == found[446:453]


def test_a_later_page_that_fails_cuts_the_connection(partitions: DropBox, many: list[Sample]) -> None:
    """The caller sees that the list is not whole."""
    with failing_after(partitions.stack, 2), pytest.raises(httpx.RemoteProtocolError):
        partitions.get("/partitions/many/studies?limit=450")
    cut = {"status": 200, "complete": False, "datasets": 200}
    wait_for(
        lambda: [line for line in partitions.events("lookup") if cut.items() <= line.items()] or None, "no such line"
    )
    assert len(studies_of(partitions.get("/partitions/many/studies?limit=450"))) == 450


@contextmanager
def failing_after(stack: Stack, searches: int) -> Iterator[None]:
    """Have the service refuse all searches but the first ones."""
    service = Service(stack)
    service.inject(fault="delay", seconds=0.001, kind="search", requests=searches)
    service.inject(fault="status", status=400, kind="search", requests=None)
    try:
        yield
    finally:
        service.mend()


def test_slicers_loop_comes_to_an_end(partitions: DropBox, many: list[Sample]) -> None:
    """It asks for page after page until one is empty, which has to have a body."""
    found: list[str] = []
    while page := studies_of(partitions.get(f"/partitions/many/studies?limit=200&offset={len(found)}")):
        found += page
    assert len(found) == MANY


def test_partitions_are_searched_by_themselves(partitions: DropBox, many: list[Sample]) -> None:
    """The other ones' studies are not found, by whatever way the search is done."""
    store(partitions.stack, [other := Sample()], "others")
    for query in (
        "PatientID=ID1",
        "PatientName=Doe*",
        "PatientID=*1",
        f"StudyInstanceUID={many[0].study},{other.study}",
    ):
        assert studies_of(partitions.get(f"/partitions/others/studies?{query}")) == [other.study]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("PatientName=Mul*", "ct mr"),
        ("PatientName=m%C3%BCl*", "ct mr"),
        ("PatientName=*fox*", "mr sr"),
        ("PatientName=Fox*", "sr"),
        ("PatientName=Fox&fuzzymatching=true", "mr sr"),
        ("PatientName=M?l*e*", "ct mr"),
        ("PatientName=*", "ct mr sr"),
        ("AccessionNumber=F/*", "ct mr"),
        ("AccessionNumber=*/1", "ct sr"),
        ("AccessionNumber=?/1&ModalitiesInStudy=SR", "sr"),
        ("ModalitiesInStudy=PT", "ct"),
        ("ModalitiesInStudy=PT,MR", "ct mr"),
        ("ModalitiesInStudy=PT%5CCT", "ct"),
        ("ModalitiesInStudy=?R", "mr sr"),
        ("StudyInstanceUID={ct},{sr}", "ct sr"),
        ("StudyInstanceUID={ct}%5C{sr}%5C1.2.3", "ct sr"),
        ("StudyInstanceUID={ct}", "ct"),
        ("PatientName=*M*&AccessionNumber=*1*&ModalitiesInStudy=CT&StudyDate=20240101-20240201&limit=101&offset=0"
         "&fuzzymatching=true&includefield=00081030%2C00080060", "ct"),
    ],
)  # fmt: skip
def test_what_the_service_does_not_match_is_found(box: DropBox, few: dict[str, Sample], query: str, found: str) -> None:
    """Exactly what the pattern or the list says, within the studies of three patients."""
    uids = {name: sample.study for name, sample in few.items()}
    response = box.get(f"/studies?PatientID=FEW-?&{query.format(**uids)}")
    assert sorted(studies_of(response)) == sorted(uids[name] for name in found.split())
    assert response.headers["warning"].startswith('299 - "')


@pytest.mark.parametrize(
    ("path", "query", "count"),
    [
        ("/series", "SeriesInstanceUID={series},1.2", 1),
        ("/series", "StudyInstanceUID={study}&Modality=?T", 2),
        ("/instances", "StudyInstanceUID={study}&Modality=CT,PT", 3),
        ("/studies/{study}/series", "Modality=CT,MR", 1),
        ("/studies/{study}/instances", "Modality=C?", 2),
        ("/studies/{study}/series/{series}/instances", "SOPInstanceUID={sop},1.2", 1),
    ],
)
def test_at_every_level(box: DropBox, few: dict[str, Sample], path: str, query: str, count: int) -> None:
    """Patterns and lists work at each resource, and each result says where it is to be had."""
    ct = few["ct"]
    uids = {"study": ct.study, "series": ct.series, "sop": ct.sop}
    response = box.get(f"{path}?{query}".format(**uids))
    assert len(response.json()) == count
    for row in response.json():
        [url] = row["00081190"]["Value"]
        assert url.startswith(f"{box.stack.app_url}/studies/{ct.study}/series/")
        assert box.get(f"{url.removeprefix(box.stack.app_url)}/metadata").status_code == 200


def test_results_have_what_lists_show(box: DropBox, few: dict[str, Sample]) -> None:
    """Modalities and counts, whether or not they are asked for; the number of series where it is."""
    [study] = box.get(f"/studies?StudyInstanceUID={few['ct'].study}").json()
    assert study["00080061"]["Value"] == ["CT", "PT"]
    assert study["00201208"]["Value"] == [3]
    assert "00201206" not in study
    counts = {row["00201209"]["Value"][0] for row in box.get(f"/studies/{few['ct'].study}/series").json()}
    assert counts == {1, 2}
    response = box.get("/studies?PatientID=FEW-*&includefield=NumberOfStudyRelatedSeries,00080060")
    told = {row["00100020"]["Value"][0]: row["00201206"]["Value"][0] for row in response.json()}
    assert told == {"FEW-1": 2, "FEW-2": 2, "FEW-3": 1}


def test_all_fields_and_others(box: DropBox, few: dict[str, Sample]) -> None:
    """All that the service has at hand, and what it has not beside it."""
    store(box.stack, [full := Sample(elements=dict(FULL))])
    everything = box.get(f"/series?StudyInstanceUID={full.study}&includefield=all,InstanceNumber").json()[0]
    named = {f"{tag:08X}" for tag in FULL}
    assert named <= everything.keys()
    assert {"00201209", "00081190"} <= everything.keys()


def test_plain_results(box: DropBox, few: dict[str, Sample]) -> None:
    """By keyword, as the schema says; and what is there is the same as in DICOM JSON."""
    for query in ("", "includefield=all", "includefield=RequestAttributesSequence,00091001"):
        response = box.get(f"/studies?PatientID=FEW-1&{query}&format=plain")
        assert response.headers["content-type"] == "application/json"
        jsonschema.validate(response.json(), schema(), jsonschema.Draft202012Validator)
        [row] = response.json()
        assert row["PatientName"] == "Müller^Änne"
        assert row["ModalitiesInStudy"] == ["CT", "PT"]
        assert row["NumberOfStudyRelatedInstances"] == 3
        assert row["RetrieveURL"] == f"{box.stack.app_url}/studies/{few['ct'].study}"
    refused = box.get("/studies?PatientID=FEW-*", headers={"Accept": "application/json"})
    assert (refused.status_code, refused.json()["code"]) == (400, "not-adapted")


def test_an_extended_query_tag_can_be_searched_for(box: DropBox, stack: Stack) -> None:
    """Once the service has indexed it, with its wildcards."""
    stored = Sample(elements={0x00081080: ("LO", b"Suspected gout")})
    store(stack, [stored])

    async def add() -> None:
        async with client_of(stack) as client:
            operation = await client.extended_query_tags.add(ExtendedQueryTag("00081080", "Study", vr="LO"))
            await client.operations.wait(operation)

    asyncio.run(add())
    try:
        for query in ("AdmittingDiagnosesDescription=suspected+gout", "00081080=*gout"):
            assert studies_of(box.get(f"/studies?{query}")) == [stored.study]
    finally:
        asyncio.run(removed(stack))


async def removed(stack: Stack) -> None:
    async with client_of(stack) as client:
        await client.extended_query_tags.delete("00081080")
