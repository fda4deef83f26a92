"""Identifiers of patients as keyed hashes: equal ones can be told, none can be read (pure)."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from dataclasses import replace

from purge_study.policy.texts import visible

from .row import Patient

_DIGITS = 32


class Hasher:
    """Makes the ledger's hashes.

    Args:
        key: the setting LEDGER_KEY.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        # Tells keys apart without telling them; the ledger's table bears it.
        self.key_id = self._hash("key", "")[:8]

    def patient(self, patient_id: str, issuer: str = "") -> Patient | None:
        """Return the hashes of a patient's id; None where it is blank.

        Args:
            patient_id: PatientID, or what a list has for it.
            issuer: IssuerOfPatientID; blank where none is named. Leading zeros and case are left out of account.
        """
        exact = patient_id.strip()
        if not _folded(exact):
            return None
        named = _without_zeros(issuer)
        return Patient(
            self._hash("patient", exact),
            self._hash("group", _without_zeros(exact)),
            self._hash("issuer", named) if named else None,
        )

    def patient_alike(self, patient_id: str, issuer: str = "") -> Patient | None:
        """Return the hashes of a patient's id that is not known as it was written, such as one without its zeros."""
        patient = self.patient(patient_id, issuer)
        return patient and replace(patient, exact="")

    def accession(self, number: str) -> str | None:
        """Return the hash of an accession number, leading zeros and case apart; None where it is blank."""
        return self._hash("accession", _without_zeros(number)) if _folded(number) else None

    def _hash(self, kind: str, value: str) -> str:
        digest = hmac.new(self._key, f"{kind}\n{value}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        return digest.hexdigest()[:_DIGITS]


def _folded(text: str) -> str:
    return visible(unicodedata.normalize("NFKC", visible(text))).strip().casefold()


def _without_zeros(text: str) -> str:
    """Return an identifier as a spreadsheet may have left it; one of zeros alone stays a zero."""
    folded = _folded(text)
    return folded.lstrip("0") or folded[:1]
