"""A blob lands, is stored in the DICOM service, and gets a verdict and a receipt."""

from shared.packages import need_packages

need_packages()
