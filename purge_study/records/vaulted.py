"""A study in the vault: where its instances lie, and the manifest by which they are counted (pure).

`<partition>/<study>/<deletion id>/<series>/<instance>.dcm`, and `manifest.json` beside the series, written last. The
second attempt to copy an instance writes `<instance>~2.dcm`, and so on; the manifest names the complete copy. A
tombstone names its folder by its `deletion_id`.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from purge_study.ledger.row import StudyKey

MANIFEST: Final = "manifest.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class VaultedInstance(_Part):
    """One instance.

    Args:
        series_instance_uid, sop_instance_uid: which one.
        name: of its blob in the vault, whole.
        bytes: its size.
        sha256: of the same, hexadecimal.
    """

    series_instance_uid: str
    sop_instance_uid: str
    name: str
    bytes: int = Field(ge=0)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(_Part):
    """What a deletion has put into the vault: all instances of a study.

    Args:
        study_instance_uid, partition: which study.
        deletion_id: of the deletion; no two have the same.
        instances: each of them, once.
    """

    study_instance_uid: str
    partition: str
    deletion_id: str
    instances: tuple[VaultedInstance, ...] = Field(min_length=1)


def study_folder(key: StudyKey) -> str:
    """Return what the names of all that is in the vault of a study begin with."""
    return f"{key.partition}/{key.uid}/"


def deletion_folder(key: StudyKey, deletion_id: str) -> str:
    """Return what the names of one deletion's blobs begin with."""
    return f"{study_folder(key)}{deletion_id}/"


def manifest_name(key: StudyKey, deletion_id: str) -> str:
    """Return the name of a deletion's manifest."""
    return deletion_folder(key, deletion_id) + MANIFEST


def instance_name(
    key: StudyKey, deletion_id: str, series_instance_uid: str, sop_instance_uid: str, attempt: int = 1
) -> str:
    """Return the name of an instance's blob, a fresh one for each attempt to write it."""
    suffix = "" if attempt == 1 else f"~{attempt}"
    return f"{deletion_folder(key, deletion_id)}{series_instance_uid}/{sop_instance_uid}{suffix}.dcm"
