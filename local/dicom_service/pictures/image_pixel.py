"""What a dataset says of its pixels: the Image Pixel Module (PS3.3 §C.7.6.3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pydicom import Dataset


@dataclass(frozen=True)
class ImagePixel:
    """The shape of a frame and of its samples; the names are pydicom's for these attributes."""

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    planar_configuration: int
    photometric_interpretation: str

    @staticmethod
    def of(dataset: Dataset) -> ImagePixel:
        """Read the attributes; what is absent and has an obvious value has that one.

        Raises:
            ValueError: one is absent or is no number.
        """
        try:
            return ImagePixel(
                rows=int(dataset.Rows),
                columns=int(dataset.Columns),
                samples_per_pixel=int(dataset.get("SamplesPerPixel") or 1),
                bits_allocated=int(dataset.BitsAllocated),
                bits_stored=int(dataset.get("BitsStored") or dataset.BitsAllocated),
                pixel_representation=int(dataset.get("PixelRepresentation") or 0),
                planar_configuration=int(dataset.get("PlanarConfiguration") or 0),
                photometric_interpretation=str(dataset.PhotometricInterpretation),
            )
        except Exception:  # pydicom raises what its parsing happens to trip over
            raise ValueError("the Image Pixel Module is incomplete") from None

    @property
    def frame_pixels(self) -> int:
        """Return the number of pixels in a frame."""
        return self.rows * self.columns

    @property
    def frame_bytes(self) -> int:
        """Return the size of a decoded frame, each sample in whole bytes."""
        return self.frame_pixels * self.samples_per_pixel * ((self.bits_allocated + 7) // 8)

    def options(self) -> dict[str, Any]:
        """Return the attributes as pydicom's decoders and encoders take them."""
        return asdict(self)
