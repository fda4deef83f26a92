"""Every retrieval in every form, through the whole local stack: what comes is what was stored."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames

from local import samples
from local.stack import Stack
from tests.kit.dicomweb_messages import parts_of
from tests.kit.drop_box import DropBox, Instance, instance_of, make_instance
from tests.kit.stack_service import Service

DICOM = "application/dicom"
OCTETS = "application/octet-stream"
EXPLICIT, J2K, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
QUOTED = f'multipart/related; type="{OCTETS}"'
SIDE = 32
GRADIENT = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) // 4


def related(media_type: str, syntax: str = "*") -> str:
    return f'multipart/related; type="{media_type}"; transfer-syntax={syntax}'


def picture(pixels: Any = GRADIENT, **attributes: Any) -> Instance:
    """Return a grey picture."""
    return make_instance(Rows=SIDE, Columns=SIDE, PixelData=pixels.astype(np.uint8).tobytes(), **attributes)


@pytest.fixture(scope="module")
def box(stack: Stack) -> DropBox:
    return DropBox(stack)


@pytest.fixture
def service(stack: Stack) -> Iterator[Service]:
    """Whose faults end with the test."""
    service = Service(stack)
    yield service
    service.mend()


@pytest.fixture(scope="module")
def grey(stack: Stack) -> Instance:
    """An uncompressed picture, alone in its study."""
    one = picture()
    Service(stack).store(one.content)
    return one


@pytest.fixture(scope="module")
def rle(stack: Stack) -> Instance:
    """Two frames in RLE."""
    one = instance_of(samples.pydicom_file("SC_rgb_rle_2frame.dcm"))
    Service(stack).store(one.content)
    return one


@pytest.fixture(scope="module")
def pair(stack: Stack) -> list[Instance]:
    """Two pictures of one series."""
    first = picture(InstanceNumber=1)
    second = picture(255 - GRADIENT, InstanceNumber=2, StudyInstanceUID=first.study, SeriesInstanceUID=first.series)
    Service(stack).store(first.content, second.content)
    return [first, second]


def get(box: DropBox, path: str, accept: str | None, **options: Any) -> httpx.Response:
    return box.get(path, headers={} if accept is None else {"Accept": accept}, **options)


def frames_of(instance: Instance) -> list[bytes]:
    return list(generate_frames(dcmread(BytesIO(instance.content)).PixelData, number_of_frames=2))


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, DICOM),
        ("*/*", DICOM),
        ("application/*", DICOM),
        ("Application/DICOM; Transfer-Syntax=*", DICOM),
        (f'application/dicom; transfer-syntax="{EXPLICIT}"', DICOM),
        ("text/html, */*;q=0.1", DICOM),
        (related(DICOM), "multipart/related"),
        ("multipart/related", "multipart/related"),
        (f"application/dicom;q=0.2, {related(DICOM, EXPLICIT)}", "multipart/related"),
    ],
)
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_an_instance_alone_comes_in_each_form(
    box: DropBox, grey: Instance, level: str, accept: str | None, content_type: str
) -> None:
    """As a file or in parts; a study or series of just one, too."""
    path = {"study": f"/studies/{grey.study}", "series": grey.path.partition("/instances")[0]}.get(level, grey.path)
    if level != "instance" and accept in (None, "*/*", "text/html, */*;q=0.1"):
        content_type = "multipart/related"
    response = get(box, path, accept)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(content_type)
    part = {"content-type": f"{DICOM}; transfer-syntax={EXPLICIT}"}
    if content_type == DICOM:
        assert (response.headers["content-type"], response.content) == (part["content-type"], grey.content)
    else:
        assert 'type="application/dicom"' in response.headers["content-type"]
        assert parts_of(response) == [(part, grey.content)]


@pytest.mark.parametrize("accept", [DICOM, f"{DICOM}; transfer-syntax=*", related(DICOM, J2K), related(DICOM, RLE)])
@pytest.mark.parametrize("level", ["study", "series"])
def test_several_instances_come_in_parts_and_as_they_are_stored(
    box: DropBox, pair: list[Instance], level: str, accept: str
) -> None:
    """Anything else is 406, and the problem says how to ask; what it says works."""
    path = f"/studies/{pair[0].study}" if level == "study" else pair[0].path.partition("/instances")[0]
    refusal = get(box, path, accept)
    assert (refusal.status_code, refusal.json()["code"]) == (406, "not-acceptable")
    [acceptable] = refusal.json()["acceptable"]
    assert sorted(content for _, content in parts_of(get(box, path, acceptable))) == sorted(one.content for one in pair)


def test_an_instance_is_transcoded_where_the_service_can(box: DropBox, grey: Instance) -> None:
    """And is the same picture."""
    response = get(box, grey.path, f"application/dicom; transfer-syntax={J2K}")
    assert response.headers["content-type"] == f"{DICOM}; transfer-syntax={J2K}"
    assert np.array_equal(dcmread(BytesIO(response.content)).pixel_array, GRADIENT)


def test_an_instance_in_another_syntax_comes_if_it_is_stored_so(box: DropBox, rle: Instance, grey: Instance) -> None:
    """Which the service by itself would refuse."""
    accept = f"application/dicom; transfer-syntax={RLE}"
    assert get(box, rle.path, accept).content == rle.content
    [(_, content)] = parts_of(get(box, f"/studies/{rle.study}", related(DICOM, RLE)))
    assert content == rle.content
    assert get(box, grey.path, accept).status_code == 406


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        QUOTED,
        f"multipart/related; type={OCTETS}; transfer-syntax=*",
        f'{QUOTED}; transfer-syntax="*"',
        "multipart/*",
        related(OCTETS, RLE),
        related("image/jpeg") + ", " + related("image/dicom-rle"),
        related("image/x-dicom-rle", RLE),
        'multipart/related; type="image/*"',
    ],
)
def test_frames_come_as_they_are_stored(box: DropBox, rle: Instance, accept: str | None) -> None:
    """Under the media type that was asked for, in the order asked for."""
    response = get(box, f"{rle.path}/frames/2,1", accept)
    named = next(
        (name for name in ("image/x-dicom-rle", "image/dicom-rle", "image/*") if name in (accept or "")), OCTETS
    )
    media_type = named.replace("image/*", "image/dicom-rle")
    assert f'type="{media_type}"' in response.headers["content-type"]
    head = {"content-type": f"{media_type}; transfer-syntax={RLE}"}
    assert parts_of(response) == [(head, frame) for frame in reversed(frames_of(rle))]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (OCTETS, OCTETS),
        ("application/*", OCTETS),
        ("image/dicom-rle", "image/dicom-rle"),
        ("image/*", "image/dicom-rle"),
    ],
)
def test_one_frame_comes_by_itself(box: DropBox, rle: Instance, accept: str, media_type: str) -> None:
    """Several do not."""
    response = get(box, f"{rle.path}/frames/2", accept)
    assert response.headers["content-type"] == f"{media_type}; transfer-syntax={RLE}"
    assert response.content == frames_of(rle)[1]
    assert get(box, f"{rle.path}/frames/1,2", accept).status_code == 406


def test_frames_are_decoded_or_transcoded_where_the_service_can(box: DropBox, rle: Instance, grey: Instance) -> None:
    """To the pixels that were stored."""
    native = get(box, f"{rle.path}/frames/1", f"{OCTETS}; transfer-syntax={EXPLICIT}").content
    assert native == dcmread(BytesIO(rle.content)).pixel_array[0].tobytes()
    for accept in ("image/jp2", "image/*", f"image/jpeg, image/jp2;q=0.1; transfer-syntax={J2K}"):
        response = get(box, f"{grey.path}/frames/1", accept)
        assert response.headers["content-type"] == f"image/jp2; transfer-syntax={J2K}"
        assert np.array_equal(np.asarray(Image.open(BytesIO(response.content))), GRADIENT)


def test_frames_that_are_not_stored_so_are_406(box: DropBox, rle: Instance) -> None:
    """And a frame that is not there is 404."""
    refusal = get(box, f"{rle.path}/frames/1", related("image/jpeg"))
    assert (refusal.status_code, refusal.json()["code"]) == (406, "not-acceptable")
    for acceptable in refusal.json()["acceptable"]:
        assert get(box, f"{rle.path}/frames/1", acceptable).status_code == 200
    assert get(box, f"{rle.path}/frames/3", None).status_code == 404


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/dicom+json"),
        ("*/*", "application/dicom+json"),
        ("application/dicom+json; charset=utf-8", "application/dicom+json"),
        ("application/json", "application/json"),
    ],
)
def test_metadata_come_under_the_type_asked_for(
    box: DropBox, grey: Instance, accept: str | None, media_type: str
) -> None:
    """Bare, since clients compare it as a whole; with a tag in quotes that works."""
    response = get(box, f"{grey.path}/metadata", accept)
    assert (response.headers["content-type"], len(response.json())) == (media_type, 1)
    etag = response.headers["etag"]
    assert etag[0] == etag[-1] == '"'
    again = box.get(f"{grey.path}/metadata", headers={"If-None-Match": f'"0-0", W/{etag}'})
    assert (again.status_code, again.headers["etag"], again.content) == (304, etag, b"")


@pytest.mark.parametrize("what", ["/rendered", "/frames/1/rendered", "/thumbnail", "/frames/1/thumbnail"])
@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("", None, "JPEG"),
        ("", "image/avif,image/webp,image/*,*/*;q=0.8", "JPEG"),
        ("?accept=image/jpeg", QUOTED, "JPEG"),
        ("?accept=image%2Fpng&quality=90", "image/jpeg", "PNG"),
        ("", "image/png", "PNG"),
    ],
)
def test_a_picture_shows_the_pixels(
    box: DropBox, grey: Instance, what: str, query: str, accept: str | None, kind: str
) -> None:
    """As a JPEG unless asked for otherwise, whatever a viewer's Accept is made for."""
    response = get(box, f"{grey.path}{what}{query}", accept)
    assert (response.status_code, response.headers["content-type"]) == (200, f"image/{kind.lower()}")
    shown = Image.open(BytesIO(response.content))
    assert shown.format == kind
    assert np.abs(np.asarray(shown.convert("L"), dtype=int) - GRADIENT).max() <= 12


def test_a_picture_may_come_in_a_part(box: DropBox, grey: Instance) -> None:
    """For clients that know nothing else."""
    response = get(box, f"{grey.path}/rendered", 'multipart/related; type="image/png"')
    [(head, content)] = parts_of(response)
    assert head == {"content-type": "image/png"}
    assert Image.open(BytesIO(content)).size == (SIDE, SIDE)


def test_what_the_service_cannot_vary_is_said(box: DropBox, grey: Instance) -> None:
    """In a Warning, or as a refusal for those who want it strict."""
    response = get(box, f"{grey.path}/rendered?viewport=10,10&window=1,2,linear", None)
    assert response.status_code == 200
    assert all(name in response.headers["warning"] for name in ("299", "viewport", "window"))
    strict = box.get(f"{grey.path}/rendered?viewport=10,10", headers={"Prefer": "handling=strict"})
    assert (strict.status_code, strict.json()["code"]) == (400, "not-adapted")


def test_a_thumbnail_stands_for_a_mixed_study(box: DropBox) -> None:
    """The middle picture of the first series that has one; the report before it is passed over."""
    report = make_instance(SeriesNumber=1, Modality="SR", Rows=None, Columns=None, PixelData=None)
    of_study: dict[str, Any] = {"StudyInstanceUID": report.study, "SeriesNumber": 2}
    first = picture(GRADIENT // 2, InstanceNumber=1, **of_study)
    of_series: dict[str, Any] = {**of_study, "SeriesInstanceUID": first.series}
    middle = picture(GRADIENT.T, InstanceNumber=2, **of_series)
    last = picture(255 - GRADIENT, InstanceNumber=10, **of_series)
    note = make_instance(InstanceNumber=3, Rows=None, Columns=None, PixelData=None, **of_series)
    later = picture(GRADIENT[::-1], StudyInstanceUID=report.study, SeriesNumber=3)
    Service(box.stack).store(*(one.content for one in (later, last, report, first, note, middle)))
    expected = get(box, f"{middle.path}/rendered", None).content
    assert get(box, f"/studies/{report.study}/thumbnail", None).content == expected
    assert get(box, f"{middle.path.partition('/instances')[0]}/thumbnail", None).content == expected
    assert get(box, f"{last.path}/thumbnail", None).content == get(box, f"{last.path}/rendered", None).content
    for nothing in (report.path, report.path.partition("/instances")[0]):
        refusal = get(box, f"{nothing}/thumbnail", None)
        assert (refusal.status_code, refusal.json()["code"]) == (404, "no-picture")
    assert get(box, "/studies/1.2.3/thumbnail", None).json()["code"] == "not-found"


def test_the_middle_frame_of_several_is_shown(box: DropBox, rle: Instance) -> None:
    """Of two the second."""
    expected = get(box, f"{rle.path}/frames/2/rendered", None).content
    assert get(box, f"{rle.path}/thumbnail", None).content == expected


RETRIEVALS = [
    ("", None, "retrieve"),
    ("", related(DICOM), "retrieve"),
    ("/frames/1", None, "frames"),
    ("/frames/1", OCTETS, "frames"),
    ("/rendered", None, "rendered"),
    ("/metadata", None, "metadata"),
]


@pytest.mark.parametrize(("path", "accept", "kind"), RETRIEVALS)
def test_what_the_service_cuts_short_fails_at_the_callers(
    box: DropBox, service: Service, grey: Instance, path: str, accept: str | None, kind: str
) -> None:
    """Also where the service ends the answer as if it were whole."""
    service.inject(fault="truncate", kind=kind)
    with pytest.raises(httpx.RemoteProtocolError):
        get(box, grey.path + path, accept)
    service.inject(fault="cut", kind=kind, bytes=200)
    with pytest.raises(httpx.RemoteProtocolError):
        get(box, grey.path + path, accept)


@pytest.mark.parametrize(("path", "accept", "kind"), RETRIEVALS)
def test_what_fails_before_the_first_byte_has_a_status(
    box: DropBox, service: Service, grey: Instance, path: str, accept: str | None, kind: str
) -> None:
    """The service's own, where the caller can do something about it."""
    service.inject(fault="cut", kind=kind, bytes=0, requests=None)
    lost = get(box, grey.path + path, accept)
    assert (lost.status_code, lost.json()["code"]) == (502, "service-response-lost")
    service.mend()
    service.inject(fault="status", kind=kind, status=429, retry_after="30", requests=None)
    busy = get(box, grey.path + path, accept)
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "30")


def test_a_head_request_tells_what_a_get_would(box: DropBox, grey: Instance) -> None:
    """The same headers, and no body."""
    headers = {"x-functions-key": box.stack.function_key}
    for path in (grey.path, f"{grey.path}/thumbnail", f"{grey.path}/metadata"):
        asked = httpx.head(box.stack.app_url + path, headers=headers, trust_env=False)
        assert (asked.status_code, asked.content) == (200, b"")
        assert asked.headers["content-type"] == box.get(path).headers["content-type"]
