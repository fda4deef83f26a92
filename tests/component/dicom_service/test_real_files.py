"""Every DICOM file that pydicom brings along, with the verdict that the local DICOM service gives to it."""

from __future__ import annotations

from typing import Any

import pydicom
import pytest

from local.dicom_service.instances import part10
from tests.kit.service import (
    STORED_INSTANCE,
    TEST_FILES,
    ServiceClient,
    comments,
    items,
    service,
    values,
)

__all__ = ["service"]

DATA = TEST_FILES.parent

# Status, WarningReason or FailureReason, and the files: relative to pydicom's data folder.
VERDICTS = {
    (200, None): {
        "charset_files": """
            chrArab.dcm chrFren.dcm chrFrenMulti.dcm chrGerm.dcm chrGreek.dcm chrH31.dcm chrH32.dcm chrHbrw.dcm
            chrI2.dcm chrJapMulti.dcm chrJapMultiExplicitIR6.dcm chrKoreanMulti.dcm chrRuss.dcm chrX1.dcm
            chrX2.dcm
        """,
        "test_files": """
            693_J2KI.dcm CT_small.dcm J2K_pixelrep_mismatch.dcm JPEG-lossy.dcm
            JPEG2000-embedded-sequence-delimiter.dcm JPEG2000.dcm JPGExtended.dcm MR_small.dcm MR_small_RLE.dcm
            MR_small_bigendian.dcm MR_small_expb.dcm MR_small_jp2klossless.dcm MR_small_jpeg_ls_lossless.dcm
            MR_small_padded.dcm SC_rgb_dcmtk_+eb+cr.dcm SC_rgb_dcmtk_+eb+cy+n1.dcm SC_rgb_dcmtk_+eb+cy+n2.dcm
            SC_rgb_dcmtk_+eb+cy+np.dcm SC_rgb_dcmtk_+eb+cy+s2.dcm SC_rgb_dcmtk_+eb+cy+s4.dcm SC_rgb_gdcm_KY.dcm
            SC_rgb_jpeg_dcmtk.dcm SC_rgb_jpeg_gdcm.dcm SC_rgb_jpeg_lossy_gdcm.dcm SC_rgb_rle.dcm
            SC_rgb_rle_16bit.dcm SC_rgb_rle_16bit_2frame.dcm SC_rgb_rle_2frame.dcm SC_rgb_rle_32bit.dcm
            SC_rgb_rle_32bit_2frame.dcm SC_rgb_small_odd.dcm SC_rgb_small_odd_big_endian.dcm
            SC_rgb_small_odd_jpeg.dcm SC_ybr_full_422_uncompressed.dcm examples_jpeg2k.dcm examples_overlay.dcm
            examples_palette.dcm examples_rgb_color.dcm examples_ybr_color.dcm liver_1frame.dcm
            liver_expb_1frame.dcm rtdose_expb.dcm rtdose_expb_1frame.dcm rtdose_rle.dcm rtdose_rle_1frame.dcm
            waveform_ecg.dcm
        """,
    },
    (202, 1): {
        "test_files": """
            SC_jpeg_no_color_transform.dcm SC_jpeg_no_color_transform_2.dcm SC_rgb_jpeg.dcm
            SC_rgb_jpeg_app14_dcmd.dcm badVR.dcm image_dfl.dcm reportsi.dcm reportsi_with_empty_number_tags.dcm
            test-SR.dcm
        """,
    },
    (202, 45063): {
        "test_files": """
            MR_small_implicit.dcm SC_rgb_jpeg_dcmd.dcm rtdose.dcm rtdose_1frame.dcm rtplan.dcm
        """,
    },
    (409, 43264): {
        "charset_files": """
            chrSQEncoding.dcm chrSQEncoding1.dcm
        """,
        "palettes": """
            fall.dcm hotiron.dcm hotmetalblue.dcm pet.dcm pet20step.dcm spring.dcm summer.dcm winter.dcm
        """,
        "test_files": """
            ExplVR_BigEnd.dcm ExplVR_BigEndNoMeta.dcm ExplVR_LitEndNoMeta.dcm GDCMJ2K_TextGBR.dcm
            JPEGLSNearLossless_08.dcm JPEGLSNearLossless_16.dcm MR_truncated.dcm SC_rgb_jls_lossy_line.dcm
            SC_rgb_jls_lossy_sample.dcm UN_sequence.dcm empty_charset_LEI.dcm meta_missing_tsyntax.dcm
            nested_priv_SQ.dcm no_meta.dcm no_meta_group_length.dcm priv_SQ.dcm rtplan_truncated.dcm
            rtstruct.dcm
        """,
        "test_files/dicomdirtests": """
            DICOMDIR-empty.dcm
        """,
    },
}
TABLE = {
    f"{folder}/{name}": verdict
    for verdict, folders in VERDICTS.items()
    for folder, names in folders.items()
    for name in names.split()
}
BULK_VRS = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


def test_the_table_has_every_file() -> None:
    """No file of pydicom's is left out."""
    assert set(TABLE) == {path.relative_to(DATA).as_posix() for path in DATA.rglob("*.dcm")}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_verdict(service: ServiceClient, name: str) -> None:
    """The file gets its verdict; what is stored comes back byte for byte, with pydicom's own JSON as its metadata."""
    content = (DATA / name).read_bytes()
    response = service.store(content)
    if response.status_code == 409:
        (item,) = items(response, "00081198")
        assert (409, values(item, "00081197")[0]) == TABLE[name]
        return
    (item,) = items(response, "00081199")
    assert (response.status_code, *(values(item, "00081196") or [None])) == TABLE[name]
    path = values(item, "00081190")[0].removeprefix(f"{service.root}/v2")
    assert service.get(path, STORED_INSTANCE).content == content
    (metadata,) = service.get(f"{path}/metadata").json()
    assert metadata == expected_metadata(name, dropped={entry[11:15] + entry[16:20] for entry in comments(item)})
    assert service.delete(path) == 204


def expected_metadata(name: str, dropped: set[str]) -> dict[str, Any]:
    """Return what pydicom makes of the file, less what the service leaves out."""
    part10.silence_pydicom()
    dataset = pydicom.dcmread(DATA / name, stop_before_pixels=True)
    unknown = [tag for tag in list(dataset.keys()) if tag.is_private and dataset.get_item(tag).VR in (None, "UN")]
    for tag in (*unknown, *(int(tag, 16) for tag in dropped)):
        dataset.pop(tag, None)
    implicit, _ = dataset.original_encoding
    return without_bulk(dataset.to_json_dict(bulk_data_element_handler=lambda _: ""), keep_private=not implicit)


def without_bulk(attributes: dict[str, Any], *, keep_private: bool) -> dict[str, Any]:
    """Leave bulk data, group lengths and private attributes of implicit VR out; write values as the service does."""
    kept: dict[str, Any] = {}
    for tag, element in attributes.items():
        is_private = int(tag[:4], 16) % 2 == 1
        if element["vr"] in BULK_VRS or (is_private and not keep_private) or tag.endswith("0000"):
            continue
        found = [_value(value, keep_private) for value in element.get("Value", [])]
        kept[tag] = {"vr": str(element["vr"]), "Value": found} if found else {"vr": str(element["vr"])}
    return kept


def _value(value: Any, keep_private: bool) -> Any:
    if isinstance(value, dict) and "Alphabetic" not in value:
        return without_bulk(value, keep_private=keep_private)
    if isinstance(value, dict):
        return {name: group for name, group in value.items() if group}
    return (value.rstrip(" ") or None) if isinstance(value, str) else value
