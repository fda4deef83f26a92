"""Lookups through the whole local stack: what is stored is found and comes back, in every form a client asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames

from local import samples
from local.stack import Stack
from local.tokens import Bearer
from query_api.searching.plain import schema
from shared.dicomweb import Body, DICOMwebClient, ExtendedQueryTag
from tests.kit.dicomweb_messages import parts_of
from tests.kit.drop_box import DropBox, Instance, instance_of, make_instance, wait_for
from tests.kit.files import Sample
from tests.kit.stack_service import Service

DICOM, OCTETS, JSON = "application/dicom", "application/octet-stream", "application/dicom+json"
EXPLICIT, J2K, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
SIDE = 32
GRADIENT = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) // 4
MANY = 455  # more than the service gives at a time


def related(media_type: str, syntax: str = "*") -> str:
    return f'multipart/related; type="{media_type}"; transfer-syntax={syntax}'


def picture(pixels: Any = GRADIENT, **attributes: Any) -> Instance:
    """Return a grey picture."""
    return make_instance(Rows=SIDE, Columns=SIDE, PixelData=pixels.astype(np.uint8).tobytes(), **attributes)


@asynccontextmanager
async def client_of(stack: Stack) -> AsyncIterator[DICOMwebClient]:
    """A client of the service itself, past the app."""
    async with DICOMwebClient(stack.dicom_url, auth=Bearer(stack.token())) as client:
        yield client


@pytest.fixture(scope="module")
def box(stack: Stack) -> DropBox:
    return DropBox(stack)


@pytest.fixture(scope="module")
def grey(stack: Stack) -> Instance:
    """An uncompressed picture, alone in its study."""
    one = picture()
    Service(stack).store(one.content)
    return one


@pytest.fixture(scope="module")
def pair(stack: Stack) -> list[Instance]:
    """Two pictures of one series."""
    first = picture(InstanceNumber=1)
    second = picture(255 - GRADIENT, InstanceNumber=2, StudyInstanceUID=first.study, SeriesInstanceUID=first.series)
    Service(stack).store(first.content, second.content)
    return [first, second]


@pytest.fixture(scope="module")
def rle(stack: Stack) -> Instance:
    """Two frames in RLE."""
    one = instance_of(samples.pydicom_file("SC_rgb_rle_2frame.dcm"))
    Service(stack).store(one.content)
    return one


def get(box: DropBox, path: str, accept: str | None = None) -> httpx.Response:
    return box.get(path, headers={} if accept is None else {"Accept": accept})


def frames_of(instance: Instance) -> list[bytes]:
    return list(generate_frames(dcmread(BytesIO(instance.content)).PixelData, number_of_frames=2))


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize("accept", [None, "*/*", "Application/DICOM; Transfer-Syntax=*", related(DICOM, EXPLICIT)])
def test_an_instance_alone(box: DropBox, grey: Instance, level: str, accept: str | None) -> None:
    """It comes back byte for byte, as a file or in a part; a study or series of just one, too."""
    path = {"study": f"/studies/{grey.study}", "series": grey.path.partition("/instances")[0]}.get(level, grey.path)
    is_in_part = "related" in str(accept) or (level != "instance" and accept in (None, "*/*"))
    response = get(box, path, accept)
    head = {"content-type": f"{DICOM}; transfer-syntax={EXPLICIT}"}
    if is_in_part:
        assert parts_of(response) == [(head, grey.content)]
    else:
        assert (response.headers["content-type"], response.content) == (head["content-type"], grey.content)


@pytest.mark.parametrize("accept", [DICOM, related(DICOM, J2K)])
def test_several_instances_come_in_parts_as_they_are_stored(box: DropBox, pair: list[Instance], accept: str) -> None:
    """Anything else is 406, and the problem says how to ask; what it says works."""
    path = f"/studies/{pair[0].study}"
    refusal = get(box, path, accept)
    assert (refusal.status_code, refusal.json()["code"]) == (406, "not-acceptable")
    [acceptable] = refusal.json()["acceptable"]
    assert sorted(content for _, content in parts_of(get(box, path, acceptable))) == sorted(one.content for one in pair)


def test_other_transfer_syntaxes(box: DropBox, grey: Instance, rle: Instance) -> None:
    """The service transcodes to some; in another one an instance or a frame comes if it is stored so, else 406."""
    transcoded = get(box, grey.path, f"{DICOM}; transfer-syntax={J2K}")
    assert np.array_equal(dcmread(BytesIO(transcoded.content)).pixel_array, GRADIENT)
    assert get(box, rle.path, f"{DICOM}; transfer-syntax={RLE}").content == rle.content
    assert get(box, grey.path, f"{DICOM}; transfer-syntax={RLE}").status_code == 406
    native = get(box, f"{rle.path}/frames/1", f"{OCTETS}; transfer-syntax={EXPLICIT}").content
    assert native == dcmread(BytesIO(rle.content)).pixel_array[0].tobytes()
    shown = get(box, f"{grey.path}/frames/1", "image/jp2")
    assert np.array_equal(np.asarray(Image.open(BytesIO(shown.content))), GRADIENT)


@pytest.mark.parametrize(
    ("frames", "accept", "media_type"),
    [
        ("2,1", None, OCTETS),
        ("2%2C1", "multipart/*", OCTETS),
        ("2,1", related("image/jpeg") + ", " + related("image/dicom-rle"), "image/dicom-rle"),
        ("2,1", related("image/x-dicom-rle", RLE), "image/x-dicom-rle"),
        ("2", OCTETS, OCTETS),
        ("2", "image/*", "image/dicom-rle"),
    ],
)
def test_frames_come_as_they_are_stored(
    box: DropBox, rle: Instance, frames: str, accept: str | None, media_type: str
) -> None:
    """In the order asked for, under the media type asked for; one alone comes by itself where that is asked for."""
    response = get(box, f"{rle.path}/frames/{frames}", accept)
    head = {"content-type": f"{media_type}; transfer-syntax={RLE}"}
    if frames == "2":
        assert (response.headers["content-type"], response.content) == (head["content-type"], frames_of(rle)[1])
    else:
        assert parts_of(response) == [(head, frame) for frame in reversed(frames_of(rle))]


def test_frames_that_cannot_be_had(box: DropBox, rle: Instance) -> None:
    """Several in one plain body, and a form that is not stored, are 406; a frame that is not there is 404."""
    assert get(box, f"{rle.path}/frames/1,2", OCTETS).status_code == 406
    refusal = get(box, f"{rle.path}/frames/1", related("image/jpeg"))
    assert refusal.status_code == 406
    assert [get(box, f"{rle.path}/frames/1", one).status_code for one in refusal.json()["acceptable"]] == [200, 200]
    assert get(box, f"{rle.path}/frames/3").status_code == 404


@pytest.mark.parametrize("what", ["/rendered", "/frames/1/rendered", "/thumbnail", "/frames/1/thumbnail"])
@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [("", "image/avif,image/webp,image/*,*/*;q=0.8", "JPEG"), ("?accept=image%2Fpng&quality=90", "image/jpeg", "PNG")],
)
def test_a_picture_shows_the_pixels(
    box: DropBox, grey: Instance, what: str, query: str, accept: str, kind: str
) -> None:
    """As a JPEG unless asked for otherwise."""
    response = get(box, f"{grey.path}{what}{query}", accept)
    assert (response.status_code, response.headers["content-type"]) == (200, f"image/{kind.lower()}")
    shown = Image.open(BytesIO(response.content))
    assert shown.format == kind
    assert np.abs(np.asarray(shown.convert("L"), dtype=int) - GRADIENT).max() <= 12


def test_a_thumbnail_stands_for_a_mixed_study(box: DropBox) -> None:
    """The middle picture of the first series that has one; the report before it is passed over."""
    report = make_instance(SeriesNumber=1, Modality="SR", Rows=None, Columns=None, PixelData=None)
    of_study: dict[str, Any] = {"StudyInstanceUID": report.study, "SeriesNumber": 2}
    first = picture(GRADIENT // 2, InstanceNumber=1, **of_study)
    of_series: dict[str, Any] = {**of_study, "SeriesInstanceUID": first.series}
    middle = picture(GRADIENT.T, InstanceNumber=2, **of_series)
    last = picture(255 - GRADIENT, InstanceNumber=10, **of_series)
    later = picture(GRADIENT[::-1], StudyInstanceUID=report.study, SeriesNumber=3)
    Service(box.stack).store(*(one.content for one in (later, last, report, first, middle)))
    expected = get(box, f"{middle.path}/rendered").content
    assert get(box, f"/studies/{report.study}/thumbnail").content == expected
    assert get(box, f"{middle.path.partition('/instances')[0]}/thumbnail").content == expected
    refusal = get(box, f"{report.path}/thumbnail")
    assert (refusal.status_code, refusal.json()["code"]) == (404, "no-picture")


def test_a_dropped_file_is_found_until_it_is_deleted(box: DropBox) -> None:
    """By a search with the key in its query, which does not reach the service, and by its path."""
    instance = make_instance(PatientID="DROPPED")
    assert box.settle("lookups/dropped.dcm", instance.content)["verdict"] == "stored"
    found = box.get(f"/studies?code={box.stack.function_key}&PatientID=DROPPED", key="", headers={"Accept": JSON})
    assert [row["0020000D"]["Value"] for row in found.json()] == [[instance.study]]
    Service(box.stack).delete(f"/studies/{instance.study}")
    assert box.get(instance.path).status_code == 404
    nothing = box.get("/studies?PatientID=DROPPED", headers={"Accept": JSON})
    assert (nothing.status_code, nothing.json()) == (200, [])


def test_health_is_anonymous(stack: Stack, partitioned_stack: Stack) -> None:
    """Status only, also where the service refuses whatever names no partition."""
    for url in (stack.app_url, partitioned_stack.app_url):
        for path in ("/health/live", "/health/ready"):
            response = httpx.get(url + path, trust_env=False)
            assert (response.status_code, response.content) == (200, b"")


@pytest.fixture(scope="module")
def few(stack: Stack) -> dict[str, Sample]:
    """Three studies, with different names; one has two series and three instances."""

    def named(patient: str, name: str, accession: str, modality: str) -> Sample:
        given = {0x00100020: ("LO", patient), 0x00100010: ("PN", name), 0x00080050: ("SH", accession)}
        elements = {tag: (vr, value.encode("latin-1")) for tag, (vr, value) in given.items()}
        return Sample(elements={**elements, 0x00080005: ("CS", b"ISO_IR 100"), 0x00080060: ("CS", modality.encode())})

    ct, mr = named("FEW-1", "Müller^Änne", "F/1", "CT"), named("FEW-2", "Mulder^Fox", "F/2", "MR")
    sr = named("FEW-3", "Fox^Mulder", "G/1", "SR")
    pt = Sample(study=ct.study, elements=named("FEW-1", "Müller^Änne", "F/1", "PT").elements)
    Service(stack).store(*(one.content for one in (ct, mr, sr, ct.sibling(elements=ct.elements), pt)))
    return {"ct": ct, "mr": mr, "sr": sr}


def studies_of(response: httpx.Response) -> list[str]:
    """Return the UIDs of the studies found, in their order."""
    assert (response.status_code, response.headers["content-type"]) == (200, JSON), response.text
    return [row["0020000D"]["Value"][0] for row in response.json()]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("PatientName=m%C3%BCl*", "ct mr"),
        ("PatientName=*fox*", "mr sr"),
        ("PatientName=Fox&fuzzymatching=true", "mr sr"),
        ("PatientName=M?l*e*", "ct mr"),
        ("AccessionNumber=?/1&ModalitiesInStudy=SR", "sr"),
        ("ModalitiesInStudy=PT%5CMR", "ct mr"),
        ("StudyInstanceUID={ct}%5C{sr}%5C1.2.3", "ct sr"),
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
    ("path", "count"),
    [
        ("/series?StudyInstanceUID={study}&Modality=?T", 2),
        ("/instances?StudyInstanceUID={study}&Modality=CT,PT", 3),
        ("/studies/{study}/series?Modality=CT,MR", 1),
        ("/studies/{study}/instances?Modality=C?", 2),
        ("/studies/{study}/series/{series}/instances?SOPInstanceUID={sop},1.2", 1),
    ],
)
def test_at_every_level(box: DropBox, few: dict[str, Sample], path: str, count: int) -> None:
    """Patterns and lists work at each resource, and each result says where it is to be had."""
    ct = few["ct"]
    rows = box.get(path.format(study=ct.study, series=ct.series, sop=ct.sop)).json()
    assert len(rows) == count
    for row in rows:
        [url] = row["00081190"]["Value"]
        assert box.get(f"{url.removeprefix(box.stack.app_url)}/metadata").status_code == 200


def test_results_have_what_lists_show(box: DropBox, few: dict[str, Sample]) -> None:
    """Modalities and counts, in DICOM JSON and by keyword, as the schema says."""
    [study] = box.get(f"/studies?StudyInstanceUID={few['ct'].study}").json()
    assert (study["00080061"]["Value"], study["00201208"]["Value"]) == (["CT", "PT"], [3])
    response = box.get("/studies?PatientID=FEW-1&includefield=all&format=plain")
    jsonschema.validate(response.json(), schema(), jsonschema.Draft202012Validator)
    [row] = response.json()
    assert (row["PatientName"], row["ModalitiesInStudy"]) == ("Müller^Änne", ["CT", "PT"])
    assert row["NumberOfStudyRelatedInstances"] == 3


async def test_an_extended_query_tag_can_be_searched_for(box: DropBox, stack: Stack) -> None:
    """Once the service has indexed it, with its wildcards."""
    stored = Sample(elements={0x00081080: ("LO", b"Suspected gout")})
    Service(stack).store(stored.content)
    async with client_of(stack) as client:
        await client.operations.wait(
            await client.extended_query_tags.add(ExtendedQueryTag("00081080", "Study", vr="LO"))
        )
        try:
            for query in ("AdmittingDiagnosesDescription=suspected+gout", "00081080=*gout"):
                assert studies_of(await asyncio.to_thread(box.get, f"/studies?{query}")) == [stored.study]
        finally:
            await client.extended_query_tags.delete("00081080")


@pytest.fixture(scope="module")
def many(partitioned_stack: Stack) -> set[str]:
    """More studies than the service gives at a time, in a partition of their own."""
    found, places = [Sample() for _ in range(MANY)], asyncio.Semaphore(8)

    async def store_all() -> None:
        async with client_of(partitioned_stack) as client:

            async def store(sample: Sample) -> None:
                async with places:
                    await client.partition("many").store_instance(Body.from_bytes(sample.content))

            await asyncio.gather(*map(store, found))

    asyncio.run(store_all())
    return {sample.study for sample in found}


def test_pages_go_past_the_services_own(partitioned_stack: Stack, many: set[str]) -> None:
    """One answer has 450 results, its link the rest, each once; if the service fails on the way the answer is cut."""
    box, other = DropBox(partitioned_stack), Sample()
    Service(partitioned_stack, "others").store(other.content)
    first = box.get("/partitions/many/studies?PatientID=ID1&limit=450")
    rest = box.get(first.links["next"]["url"].removeprefix(partitioned_stack.app_url))
    found = studies_of(first) + studies_of(rest)
    assert (len(first.json()), len(found), set(found)) == (450, MANY, many)
    assert studies_of(box.get("/partitions/many/studies?PatientName=D*&limit=7&offset=446")) == found[446:453]
    assert studies_of(box.get("/partitions/others/studies?PatientID=*1")) == [other.study]
    service = Service(partitioned_stack)
    service.inject(fault="delay", seconds=0.001, kind="search", requests=2)
    service.inject(fault="status", status=400, kind="search", requests=None)
    with pytest.raises(httpx.RemoteProtocolError):
        box.get("/partitions/many/studies?limit=450")
    service.mend()
    cut = {"status": 200, "complete": False, "datasets": 200}
    wait_for(lambda: [line for line in box.events("lookup") if cut.items() <= line.items()] or None, "no such line")
