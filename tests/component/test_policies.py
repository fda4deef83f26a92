"""What `sources.toml` says of a part of the inbox holds for the files dropped there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.partitions import PartitionNames
from shared.sources import Sources, read_sources
from store_on_upload.ingest import Ingest
from tests.kit.files import Sample, new_uid
from tests.kit.runs import brought_in
from tests.kit.scripted_server import partitions, serve
from tests.kit.service import running

FILE = """
[[source]]
name = "site-a"
prefix = "A/"
partition = "site-a"
suffixes = [".img"]
after_store = "archive"

[[source]]
name = "site-b"
prefix = "B/"
partition = "site-b"
on_conflict = "replace"
settle_after_seconds = 600

[[source]]
name = "misspelt"
prefix = "M/"
partition = "Site-A"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("dicom"), partitions=True) as root:
        yield root


@pytest.fixture
async def ingest(clients: Clients, service: str, tmp_path: Path) -> AsyncIterator[Ingest]:
    (tmp_path / "sources.toml").write_text(FILE)
    sources = Sources(clients.settings, read_sources(str(tmp_path / "sources.toml")))
    async with DICOMwebClient(f"{service}/v2") as dicom:
        yield Ingest.over(replace(clients, dicom=dicom, sources=sources))


async def is_in(ingest: Ingest, container: str, name: str) -> bool:
    return await ingest.clients.container(container).get_blob_client(name).exists()


async def test_partition_and_suffixes_and_the_file_afterwards(ingest: Ingest) -> None:
    """Only the suffixes of this source are its own, its files go to its partition, and then to the archive."""
    sample, name = Sample(), f"A/{new_uid()}"
    receipt = await brought_in(ingest, f"{name}.img", sample.content)
    assert (receipt.verdict, receipt.source, receipt.partition) == ("stored", "site-a", "site-a")
    assert await is_in(ingest, "dicom-archive", f"{name}.img")
    assert not await is_in(ingest, "dicom-inbox", f"{name}.img")
    assert (await brought_in(ingest, f"{name}.dcm", sample.content)).reason == "name"
    stored = ingest.clients.dicom_in("site-a").retrieve_instance(
        study_instance_uid=sample.study, series_instance_uid=sample.series, sop_instance_uid=sample.sop
    )
    async with stored as part:
        assert b"".join([chunk async for chunk in part.chunks()]) == sample.content


async def test_conflicts(ingest: Ingest) -> None:
    """One source's files may replace others, though not at the same moment; the other's never. Partitions are apart."""
    sample = Sample()
    other = replace(sample, elements={0x00080050: ("SH", b"OTHER")})
    found = []
    for site, suffix in (("A", "img"), ("B", "dcm")):
        for one in (sample, other):
            receipt = await brought_in(ingest, f"{site}/{new_uid()}.{suffix}", one.content)
            found.append((receipt.verdict, receipt.reason))
    assert found == [("stored", None), ("conflict", "other_bytes"), ("stored", None), ("conflict", "stored_since")]


async def test_settling(ingest: Ingest) -> None:
    """Where files are seen before they are complete, half a one waits; where not, it is refused at once."""
    half = Sample().content[:-5]
    waiting = await brought_in(ingest, f"B/{new_uid()}.dcm", half)
    assert (waiting.verdict, waiting.reason, waiting.failed_by_itself) == (None, "unsettled", False)
    assert (await brought_in(ingest, f"A/{new_uid()}.img", half)).reason == "unfinished"


async def test_no_source(ingest: Ingest) -> None:
    """A service with partitions refuses what names none, and the file waits; it is never in the wrong one."""
    receipt = await brought_in(ingest, f"C/{new_uid()}.dcm", Sample().content)
    assert (receipt.verdict, receipt.reason, receipt.partition) == (None, "service_failed", None)


async def test_another_spelling_of_a_partition(ingest: Ingest) -> None:
    """A file waits whose source spells a listed partition otherwise: the service might make a second partition."""
    await brought_in(ingest, f"A/{new_uid()}.img", Sample().content)
    receipt = await brought_in(ingest, f"M/{new_uid()}.dcm", Sample().content)
    assert (receipt.verdict, receipt.reason, receipt.failed_by_itself) == (None, "partition_misspelt", False)
    assert "Site-A" not in {partition.name for partition in await ingest.clients.dicom.list_partitions()}


async def test_the_list_of_partitions_is_requested_for_unknown_names_only() -> None:
    """A name that the service has listed is known for good; one that is new may be listed since the last request."""
    async with (
        serve(partitions("site-a"), partitions("site-a", "site-b")) as server,
        DICOMwebClient(server.url) as dicom,
    ):
        names = PartitionNames(dicom)
        assert not await names.misspells("site-a")
        assert not await names.misspells("site-a")
        assert server.targets == ["/partitions"]
        assert await names.misspells("SITE-B")
        assert not await names.misspells("site-b")
        assert server.targets == ["/partitions"] * 2
