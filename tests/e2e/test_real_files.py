"""Every file that pydicom is tested with is dropped, the odd ones too, and each comes to the verdict stated here."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest

from local.stack import Stack
from tests.kit.drop_box import DropBox, wait_for

# Read from the package's folder: its listing function would download more.
FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = {str(path.relative_to(FOLDER)): path for path in sorted(FOLDER.rglob("*")) if path.is_file()}

Outcome = tuple[str, str | None]

# Verdict and reason → the files; all others are stored. Of several files with the same UIDs the first one is stored.
TABLE: dict[Outcome, tuple[str, ...]] = {
    ("stored_with_warnings", None): (
        "SC_jpeg_no_color_transform.dcm",
        "SC_jpeg_no_color_transform_2.dcm",
        "SC_rgb_jpeg.dcm",
        "badVR.dcm",
        "image_dfl.dcm",
        "reportsi.dcm",
        "rtplan.dcm",
        "rtstruct.dcm",
        "test-SR.dcm",
    ),
    ("duplicate", None): ("SC_rgb_jpeg_app14_dcmd.dcm",),
    ("conflict", "other_bytes"): (
        "JPEG2000.dcm",
        "JPGExtended.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_padded.dcm",
        "SC_rgb_jpeg_dcmd.dcm",
        "SC_rgb_rle.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_rle_16bit_2frame.dcm",
        "SC_rgb_rle_2frame.dcm",
        "SC_rgb_rle_32bit.dcm",
        "SC_rgb_rle_32bit_2frame.dcm",
        "SC_rgb_small_odd_big_endian.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "liver_expb_1frame.dcm",
        "reportsi_with_empty_number_tags.dcm",
        "rtdose.dcm",
        "rtdose_1frame.dcm",
        "rtdose_expb.dcm",
        "rtdose_expb_1frame.dcm",
        "rtdose_rle.dcm",
        "rtdose_rle_1frame.dcm",
    ),
    ("rejected", "refused"): (
        "ExplVR_BigEnd.dcm",
        "ExplVR_BigEndNoMeta.dcm",
        "ExplVR_LitEndNoMeta.dcm",
        "GDCMJ2K_TextGBR.dcm",
    ),
    ("rejected", "uids_missing"): (
        "JPEGLSNearLossless_08.dcm",
        "JPEGLSNearLossless_16.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
        "UN_sequence.dcm",
        "empty_charset_LEI.dcm",
        "meta_missing_tsyntax.dcm",
        "nested_priv_SQ.dcm",
        "no_meta_group_length.dcm",
        "priv_SQ.dcm",
    ),
    ("rejected", "unfinished"): (
        "MR_truncated.dcm",
        "rtplan_truncated.dcm",
    ),
    ("rejected", "not_dicom"): ("no_meta.dcm",),
    ("rejected", "archive"): ("zipMR.gz",),
    ("ignored", "name"): (
        "README.txt",
        "crayons.icc",
        "dicomdirtests/README.txt",
        "rtplan.dump",
        "rtstruct.dump",
        "test1.json",
        "test_PN.json",
    ),
    ("ignored", "no_dicom_content"): ("dicomdirtests/TINY_ALPHA/README",),
    ("ignored", "dicomdir"): (
        "dicomdirtests/DICOMDIR",
        "dicomdirtests/DICOMDIR-bigEnd",
        "dicomdirtests/DICOMDIR-empty.dcm",
        "dicomdirtests/DICOMDIR-implicit",
        "dicomdirtests/DICOMDIR-nooffset",
        "dicomdirtests/DICOMDIR-nopatient",
        "dicomdirtests/DICOMDIR-reordered",
        "dicomdirtests/TINY_ALPHA/DICOMDIR",
    ),
}
EXPECTED: dict[str, Outcome] = dict.fromkeys(FILES, ("stored", None)) | {
    name: outcome for outcome, names in TABLE.items() for name in names
}
SECOND = ("duplicate", "conflict")  # they need another one to be there


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    """A stack of its own, in which nothing is stored."""
    with Stack(tmp_path_factory.mktemp("real files"), auth=True, poll_seconds=0.25) as stack:
        yield DropBox(stack)


@pytest.fixture(scope="module")
def receipts(box: DropBox) -> dict[str, dict[str, object]]:
    """Drop all files as the tree that they are, and return their receipts."""
    found: dict[str, dict[str, object]] = {}
    for is_second in (False, True):
        wave = [name for name in FILES if (EXPECTED[name][0] in SECOND) is is_second]
        with ThreadPoolExecutor(16) as pool:
            etags = dict(zip(wave, pool.map(lambda name: box.drop(name, FILES[name].read_bytes()), wave), strict=True))
        found |= {name: box.receipt(name, etag) for name, etag in etags.items()}
    return found


def test_the_table_names_files_that_are_there() -> None:
    """None of its rows is about nothing, and most files are stored."""
    assert set(EXPECTED) == set(FILES)
    assert list(EXPECTED.values()).count(("stored", None)) > 100


@pytest.mark.parametrize("name", FILES)
def test_verdict(receipts: dict[str, dict[str, object]], name: str) -> None:
    """The stated one."""
    assert (receipts[name]["verdict"], receipts[name]["reason"]) == EXPECTED[name]


def test_a_cds_tree_goes_in_without_suffixes(box: DropBox, receipts: dict[str, dict[str, object]]) -> None:
    """Its instances are stored, its directory file and its README are left alone."""
    tree = {name: receipts[name] for name in receipts if name.startswith("dicomdirtests/")}
    stored = [name for name, receipt in tree.items() if receipt["verdict"] == "stored"]
    assert len(stored) > 60
    assert not any("." in Path(name).name for name in stored)
    assert box.blob("dicom-inbox", "dicomdirtests/DICOMDIR") == FILES["dicomdirtests/DICOMDIR"].read_bytes()


def test_a_file_without_preamble_is_completed_and_its_original_kept(
    box: DropBox, receipts: dict[str, dict[str, object]]
) -> None:
    """The receipt says so, and the archive has the file as it came."""
    receipt, content = receipts["rtstruct.dcm"], FILES["rtstruct.dcm"].read_bytes()
    assert receipt["changes"] == ["part10"]
    assert isinstance(receipt["sent_bytes"], int)
    assert receipt["sent_bytes"] > len(content) + 132  # a preamble, `DICM`, File Meta
    wait_for(lambda: box.blob("dicom-archive", "rtstruct.dcm"), "it is not in the archive")
    assert box.blob("dicom-archive", "rtstruct.dcm") == content


def test_what_left_the_inbox_is_in_quarantine(box: DropBox, receipts: dict[str, dict[str, object]]) -> None:
    """Each file that was refused, byte for byte, and nothing else."""
    refused = {name for name, receipt in receipts.items() if receipt["verdict"] in ("rejected", "conflict")}
    for name in refused:
        assert wait_for(lambda name=name: box.blob("dicom-quarantine", name), name) == FILES[name].read_bytes()  # type: ignore[misc]
    assert set(box.storage.get_container_client("dicom-quarantine").list_blob_names()) == refused
    assert not box.events("blob_failed")
