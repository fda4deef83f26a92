"""Does it all add up? Inbox, receipts, quarantine, copies, archive and DICOM service, held against one another."""

from .everything import reconcile
from .report import Difference, Report

__all__ = ["Difference", "Report", "reconcile"]
