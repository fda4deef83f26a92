"""Why a study is not deleted, or nothing more is."""

from __future__ import annotations


class _Coded(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Gone(Exception):
    """Somebody else has deleted the study."""


class Changed(_Coded):
    """The study is not as it was planned.

    Args:
        code: what is different: `ledger`, `attributes`, `judgement`, `patient_returned`, `hold`, `contents`.
    """


class FailedByItself(_Coded):
    """The study cannot be deleted; others may.

    Args:
        code: why: `metadata_unusable`, `patient_not_found`, `search_too_slow`, `not_dicom`,
            `other_instance`, `copy_differs`, `copies_missing`, `intent_open`, `not_gone`.
    """


class Halt(_Coded):
    """Nothing more may be deleted in this run.

    Args:
        code: why: `rules_changed`, `list_too_old`, `plan_withdrawn`, `lease_lost`, `service_denies`, `service_busy`,
            `storage_failed`, `record_differs`, `intent_open`, `not_allowed`, `too_slow`.
    """
