"""What a name says of a blob, before its content is read."""

from __future__ import annotations

import pytest

from store_on_upload.names import NameSays, what_name_says

SUFFIXES = (".dcm", ".dicom", ".ima")
OURS, CONTENT, TEMPORARY = NameSays.OURS, NameSays.CONTENT_DECIDES, NameSays.TEMPORARY
ARCHIVE, OTHER = NameSays.ARCHIVE, NameSays.OTHER


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # A suffix of ours, in any case
        ("a.dcm", OURS),
        ("a.DCM", OURS),
        ("ct/a b.Dicom", OURS),
        ("a.IMA", OURS),
        ("a.tar.dcm", OURS),
        ("a..dcm", OURS),
        ("a.dcm.1.dcm", OURS),
        # No suffix, or one of digits: the content decides
        ("IM0001", CONTENT),
        ("DICOM/PAT1/STU1/IM1", CONTENT),
        ("folder.zip/IM1", CONTENT),
        ("1.2.840.113619.2.1", CONTENT),
        ("IM.0001", CONTENT),
        ("report.dcm.2", CONTENT),
        ("DICOMDIR", CONTENT),
        ("a.", CONTENT),
        ("a.dcm.", CONTENT),
        ("a...", CONTENT),
        (" ", CONTENT),
        ("a.\u0663", CONTENT),  # an Arabic digit
        # Somebody is still writing it, or hides it
        ("a.dcm.part", TEMPORARY),
        ("a.PARTIAL", TEMPORARY),
        ("a.tmp", TEMPORARY),
        ("a.zip.filepart", TEMPORARY),
        (".a.dcm", TEMPORARY),
        (".hidden/a.dcm", TEMPORARY),
        ("a/.b/c/d.dcm", TEMPORARY),
        (".part", TEMPORARY),
        ("..dcm", TEMPORARY),
        # Archives
        ("study.zip", ARCHIVE),
        ("study.TAR", ARCHIVE),
        ("study.7z", ARCHIVE),
        ("a.dcm.gz", ARCHIVE),
        ("a.tar.gz", ARCHIVE),
        ("a.tgz", ARCHIVE),
        ("a.dcm.bz2", ARCHIVE),
        ("study.TBZ2", ARCHIVE),
        ("a.tar.xz", ARCHIVE),
        ("a.txz", ARCHIVE),
        ("a.dcm.zst", ARCHIVE),
        ("study.rar", ARCHIVE),
        *((f"study.{suffix}", ARCHIVE) for suffix in ("tbz", "lzma", "lz", "lz4", "Z", "zipx", "arj", "CAB", "iso")),
        *((f"study.{volume}", ARCHIVE) for volume in ("z01", "Z12", "r00", "z100")),
        # As a folder's marker may be called; a blob with content is a file
        ("folder/", CONTENT),
        ("folder.dcm/", OURS),
        ("a.dcm//", OURS),
        ("a.zip/", ARCHIVE),
        ("a.part/", TEMPORARY),
        ("/", CONTENT),
        (".hidden/", TEMPORARY),
        # None of ours
        ("a.jpg", OTHER),
        ("a.dcm.txt", OTHER),
        ("a.dcm ", OTHER),
        ("a.dcmx", OTHER),
        ("a.2x", OTHER),
        ("a.x2", OTHER),
        ("a.z1", OTHER),
        ("a.gzip", OTHER),
        ("part.", CONTENT),
        ("a.parted", OTHER),
        ("a.1.x", OTHER),
        ("a.dc\nm", OTHER),
        ("dcm", CONTENT),
        ("adcm", CONTENT),
        ("zip", CONTENT),
    ],
)
def test_name(name: str, expected: NameSays) -> None:
    """What is unfinished or hidden comes before our suffixes, and these before archives; a slash at the end is none."""
    assert what_name_says(name, SUFFIXES) is expected


@pytest.mark.parametrize(
    ("suffixes", "expected"),
    [((".jpg",), OURS), ((".dcm",), OTHER), ((), OTHER), ((".gz",), OTHER)],
)
def test_the_suffixes_are_a_setting(suffixes: tuple[str, ...], expected: NameSays) -> None:
    """None is built in."""
    assert what_name_says("a.jpg", suffixes) is expected


def test_a_suffix_of_ours_may_be_that_of_an_archive_but_not_of_what_is_unfinished() -> None:
    """Who takes `.gz` for a suffix of DICOM files gets them; a temporary name never is a final one."""
    assert what_name_says("a.gz", (".gz",)) is OURS
    assert what_name_says("a.tmp", (".tmp",)) is TEMPORARY
