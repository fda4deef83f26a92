"""Before anything is sent: is the blob one of ours, is it DICOM, is it whole?"""

from __future__ import annotations

from datetime import timedelta

from shared import clock
from shared.part10 import Header, Unfit, read_header
from shared.sources import Policy

from .files.source import Source
from .names import NameSays, what_name_says
from .setback import NotYet
from .verdict import Decision, ignored, rejected

_BY_NAME: dict[NameSays, Decision] = {
    NameSays.OTHER: ignored("name"),
    NameSays.TEMPORARY: ignored("temporary"),
    NameSays.ARCHIVE: rejected("archive"),
}
# What is not DICOM under a name that may well be something else's, such as README or LICENSE on a CD.
_NO_DICOM = ("empty", "not_dicom")
# What a file may look like while it is still being written.
_PERHAPS_UNFINISHED = ("empty", "unfinished", "not_dicom", "unreadable", "uids_missing")


async def examine(source: Source, policy: Policy, max_instance_bytes: int) -> Header | Decision:
    """Return the header of a file that is to be stored, or the verdict on one that is not.

    Raises:
        NotYet: the file may still be written to.
        SourceGone: its version is there no longer.
        AzureError: storage failed.
    """
    version = source.version
    if version.is_folder or (version.size == 0 and version.name.endswith("/")):
        return ignored("folder")
    said = what_name_says(version.name, policy.suffixes)
    if decision := _BY_NAME.get(said):
        return decision
    if version.is_being_copied:
        raise NotYet("unsettled", is_outage=True)
    try:
        header = await read_header(source.prefix, version.size, source.read)
    except Unfit as unfit:
        return _judge_unfit(source, policy, unfit.reason, said)
    if header.is_dicomdir:
        return ignored("dicomdir")
    return rejected("too_large") if version.size > max_instance_bytes else header


def _judge_unfit(source: Source, policy: Policy, reason: str, said: NameSays) -> Decision:
    settles_in = _seconds_to_settle(source, policy)
    if reason in _PERHAPS_UNFINISHED and settles_in > 0:
        raise NotYet("unsettled", is_outage=True, retry_after_seconds=settles_in)
    if said is NameSays.CONTENT_DECIDES and reason in _NO_DICOM:
        return ignored("no_dicom_content")
    return rejected(reason)


def _seconds_to_settle(source: Source, policy: Policy) -> float:
    """Return for how long the file must still be left unchanged to count as complete."""
    settled_at = source.version.last_modified + timedelta(seconds=policy.settle_after_seconds)
    return (settled_at - clock.now()).total_seconds()
