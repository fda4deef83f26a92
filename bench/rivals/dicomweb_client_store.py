"""Stores with dicomweb-client, one request after the other, each with one instance or several."""

from __future__ import annotations

import asyncio
import time

from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from bench.programs import store_options, take_turns


def instance_of(size_bytes: int) -> Dataset:
    """Return an instance with so many bytes of pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = generate_uid()
    dataset.PixelData = bytes(size_bytes)
    dataset["PixelData"].VR = "OW"
    return dataset


async def main(url: str, size_bytes: int) -> None:
    """Store in rounds."""
    client, instance = DICOMwebClient(url), instance_of(size_bytes)

    async def measure(batch: int, seconds: float) -> float:
        started = time.perf_counter()
        count = 0
        while time.perf_counter() - started < seconds:
            client.store_instances([instance] * batch)
            count += batch
        return count / (time.perf_counter() - started)

    await take_turns(measure)


if __name__ == "__main__":
    asyncio.run(main(*store_options(__doc__)))
