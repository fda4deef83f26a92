"""Retrieve studies, series and instances (PS3.18 §10.4): what Accept asks for, and what is sent."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from tests.contract.differences import equal, expect
from tests.contract.files import File
from tests.contract.service import Service
from tests.contract.sources import AZURE, OPEN_SOURCE
from tests.kit.dicomweb_messages import DICOM_JSON, STORED_INSTANCE, STORED_INSTANCES, parts_of, values
from tests.kit.files import EXPLICIT, Sample, new_uid

pytestmark = pytest.mark.source(f"{AZURE}, Retrieve")

JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_LS_FILE = "MR_small_jpeg_ls_lossless.dcm"
MULTIPART = 'multipart/related; type="application/dicom"'


@pytest.fixture(scope="module")
def single(service: Service) -> Sample:
    """A study of one instance, in Explicit VR Little Endian and without pixels."""
    sample = Sample()
    service.stored(sample)
    return sample


@pytest.fixture(scope="module")
def mixed(service: Service) -> tuple[Sample, File]:
    """A study of two instances in different transfer syntaxes."""
    native = Sample()
    rle = File(native.study, native.series, name="MR_small_RLE.dcm")
    service.stored(native, rle)
    return native, rle


def test_single_part(service: Service, single: Sample) -> None:
    """A single part is the file itself, its transfer syntax in the Content-Type."""
    response = expect(service.get(single.path, STORED_INSTANCE), 200)
    equal("Content-Type", response.headers["Content-Type"], f"application/dicom; transfer-syntax={EXPLICIT}")
    equal("same bytes", response.content == single.content, True)


@pytest.mark.source(OPEN_SOURCE)
def test_any_media_type(service: Service, single: Sample) -> None:
    """`*/*` on an instance gives multipart, without a type parameter; each part has its transfer syntax."""
    response = expect(service.get(single.path, "*/*"), 200)
    media_type, _, parameters = response.headers["Content-Type"].partition(";")
    equal("media type", (media_type, "type=" in parameters), ("multipart/related", False))
    ((headers, content),) = parts_of(response)
    equal("part's Content-Type", headers["content-type"], f"application/dicom; transfer-syntax={EXPLICIT}")
    equal("same bytes", content == single.content, True)


@pytest.mark.parametrize(
    ("level", "accept"),
    [
        *(
            (level, accept)
            for level in ("study_path", "series_path", "path")
            for accept in (
                MULTIPART,
                "multipart/related; type=application/dicom; transfer-syntax=*",
                f"{MULTIPART}; transfer-syntax={EXPLICIT}",
            )
        ),
        ("path", "application/dicom"),
        ("path", f'application/dicom; transfer-syntax="{EXPLICIT}"'),
        pytest.param("path", "text/html, application/dicom;q=0.5", marks=pytest.mark.source(OPEN_SOURCE)),
    ],
)
def test_accepted_accepts(service: Service, single: Sample, level: str, accept: str) -> None:
    """Multipart at each level and a single part of an instance, quoted or not, also in the default syntax."""
    expect(service.get(getattr(single, level), accept), 200)


@pytest.mark.parametrize(
    ("level", "accept"),
    [
        ("study_path", "application/dicom"),
        ("study_path", "application/data"),
        ("series_path", "application/octet-stream"),
        ("path", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50"),
        ("path", "application/dicom+json"),
        ("path", 'multipart/related; type="application/octet-stream"'),
        ("path", "application/octet-stream"),
        pytest.param("path", "multipart/related", marks=pytest.mark.source(OPEN_SOURCE)),
        pytest.param("path", "application/*", marks=pytest.mark.source(OPEN_SOURCE)),
        pytest.param("path", None, marks=pytest.mark.source(OPEN_SOURCE)),
        pytest.param("study_path", None, marks=pytest.mark.source(OPEN_SOURCE)),
    ],
)
def test_refused_accepts(service: Service, single: Sample, level: str, accept: str | None) -> None:
    """Any other Accept, or none, is 406."""
    expect(service.get(getattr(single, level), accept), 406)


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (f"application/dicom;q=0.5, {MULTIPART};q=0.9", "multipart/related"),
        (f"{MULTIPART}, application/dicom; transfer-syntax=*", "application/dicom"),
        (f"application/dicom, {MULTIPART}; transfer-syntax=*;q=0.9", "application/dicom"),
        ("application/dicom, */*", "multipart/related"),
    ],
)
def test_quality(service: Service, single: Sample, accept: str, kind: str) -> None:
    """The highest q wins; at equal q the one that takes any transfer syntax."""
    response = expect(service.get(single.path, accept), 200)
    equal("media type", response.headers["Content-Type"].partition(";")[0], kind)


@pytest.mark.parametrize("level", ["study_path", "series_path", "path"])
@pytest.mark.parametrize(("suffix", "accept"), [("", STORED_INSTANCES), ("/metadata", DICOM_JSON)])
def test_original_version(service: Service, single: Sample, level: str, suffix: str, accept: str) -> None:
    """Where nothing was updated, the original version that may be asked for is the only one."""
    path = f"{getattr(single, level)}{suffix}"
    response = expect(service.get(path, accept, **{"msdicom-request-original": "true"}), 200)
    if suffix:
        equal("SOP instances", [values(item, "00080018") for item in response.json()], [[single.sop]])
    else:
        equal("same bytes", [content == single.content for _, content in parts_of(response)], [True])


def test_several_instances(service: Service, mixed: tuple[Sample, File]) -> None:
    """A study and a series send each instance as it is stored, each part with its own transfer syntax."""
    native, rle = mixed
    for path in (native.study_path, native.series_path):
        parts = parts_of(expect(service.get(path, STORED_INSTANCES), 200))
        equal("same bytes", sorted(part for _, part in parts) == sorted([native.content, rle.content]), True)
        syntaxes = sorted(headers["content-type"].rpartition("=")[2] for headers, _ in parts)
        equal("transfer syntaxes", syntaxes, [EXPLICIT, "1.2.840.10008.1.2.5"])


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize("accept", [MULTIPART, f"{MULTIPART}; transfer-syntax={EXPLICIT}"])
def test_several_instances_in_one_syntax(service: Service, accept: str) -> None:
    """More than one instance is 406 in any transfer syntax but `*`, even in the one that all have."""
    one = Sample()
    service.stored(one, one.sibling())
    expect(service.get(one.study_path, accept), 406)
    expect(service.get(one.series_path, accept), 406)
    expect(service.get(one.study_path, "*/*"), 200)


@pytest.mark.source(OPEN_SOURCE)
def test_mixed_syntaxes(service: Service, mixed: tuple[Sample, File]) -> None:
    """Instances of mixed transfer syntaxes are 406 unless any is taken."""
    expect(service.get(mixed[0].study_path, MULTIPART), 406)


@pytest.mark.parametrize(
    ("name", "accept", "syntax"),
    [
        ("MR_small_RLE.dcm", "application/dicom", EXPLICIT),
        ("MR_small_jp2klossless.dcm", "application/dicom", EXPLICIT),
        ("SC_rgb_small_odd_jpeg.dcm", "application/dicom", EXPLICIT),
        ("MR_small.dcm", f"application/dicom; transfer-syntax={JPEG_2000_LOSSLESS}", JPEG_2000_LOSSLESS),
    ],
)
def test_transcoding(service: Service, name: str, accept: str, syntax: str) -> None:
    """One instance is transcoded to Explicit VR Little Endian or JPEG 2000 Lossless; its attributes stay."""
    file = File(name=name)
    service.stored(file)
    response = expect(service.get(file.path, accept), 200)
    equal("Content-Type", response.headers["Content-Type"], f"application/dicom; transfer-syntax={syntax}")
    dataset = pydicom.dcmread(BytesIO(response.content))
    equal("transfer syntax", dataset.file_meta.TransferSyntaxUID, syntax)
    equal("SOP instance", dataset.SOPInstanceUID, file.sop)


def test_unsupported_source(service: Service) -> None:
    """A codec that is not transcoded, JPEG-LS: 406 in the default syntax, the stored file with `*`."""
    file = File(name=JPEG_LS_FILE)
    service.stored(file)
    expect(service.get(file.path, "application/dicom"), 406)
    equal("same bytes", expect(service.get(file.path, STORED_INSTANCE), 200).content == file.content, True)


@pytest.mark.source(OPEN_SOURCE)
def test_order_of_refusals(service: Service) -> None:
    """The syntax of UIDs (400) comes before Accept (406), that before existence (404)."""
    absent = f"/studies/{new_uid()}"
    expect(service.get("/studies/1.x|", "text/html"), 400)
    expect(service.get(absent, "text/html"), 406)
    expect(service.get(absent, STORED_INSTANCES), 404)


def test_absent(service: Service, single: Sample) -> None:
    """404 at each level."""
    absent = new_uid()
    for path in (
        f"/studies/{absent}",
        f"{single.study_path}/series/{absent}",
        f"{single.series_path}/instances/{absent}",
    ):
        expect(service.get(path, STORED_INSTANCES), 404)


@pytest.mark.source(OPEN_SOURCE)
def test_errors_are_text(service: Service) -> None:
    """An error is a sentence of plain text, not JSON."""
    response = expect(service.get(f"/studies/{new_uid()}", STORED_INSTANCES), 404)
    equal("media type", response.headers["Content-Type"].partition(";")[0], "text/plain")
