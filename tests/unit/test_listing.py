from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

from store_on_upload.files.listing import Row

ENTRY = """<Blob><Name{}>{}</Name>
<Properties><Last-Modified>Wed, 25 Nov 2026 14:06:10 GMT</Last-Modified><Etag>0x8D1</Etag>
<Content-Length>7</Content-Length><LeaseStatus>{}</LeaseStatus></Properties>
<Metadata><etag>0x8D0</etag><empty /></Metadata></Blob>"""


def row(name: str, attributes: str = "", lease: str = "unlocked") -> Row:
    return Row.of_element(ElementTree.fromstring(ENTRY.format(attributes, name, lease)))


def test_an_entry_of_a_listing() -> None:
    modified = datetime(2026, 11, 25, 14, 6, 10, tzinfo=UTC)
    assert row("a b/100%25.dcm") == Row("a b/100%25.dcm", "0x8D1", 7, modified, {"etag": "0x8D0", "empty": ""})
    assert row("a.dcm", lease="locked").is_leased


def test_a_name_that_xml_cannot_hold_comes_encoded() -> None:
    assert row("a%EF%BF%BF.dcm", ' Encoded="true"').name == "a\uffff.dcm"
