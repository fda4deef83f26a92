"""A blob lands, is stored in the DICOM service, and gets a verdict and a receipt."""
