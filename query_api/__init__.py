"""Lookups over HTTP: QIDO-RS and WADO-RS, passed through to the DICOM service."""
