"""A study looked at again, at the service, just before it is deleted: is it still as it was planned?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydicom import Dataset

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.reading import is_found, read_instances, read_or_miss
from purge_study.ledger.row import Reading, Row, StudyKey
from purge_study.ledger.summing import Summing, is_one_text, without_blanks
from purge_study.planning.plan import Item
from purge_study.policy.facts import Values
from purge_study.policy.policy import Judgement, State, needed_keywords
from purge_study.records.restored import holds_of_restore
from purge_study.rulebook.judging import judgement_of
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import Run, today_of
from shared import clock
from shared.dicomweb import InvalidParameter, NotFound, Query
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.dicomweb.query import MAX_LIMIT
from shared.partitions import partition_names

from .contents import Contents, Survey
from .reasons import Changed, FailedByItself, Gone

_INSTANCES = "NumberOfStudyRelatedInstances"
_WANTED = ("IssuerOfPatientID", "PatientBirthDate", _INSTANCES)
_DATES = ("StudyDate", "PatientBirthDate")


@dataclass(frozen=True)
class Seen:
    """A study that is as it was planned.

    Args:
        at: when that was looked at first.
        row: as the ledger has it, with what was read of it anew.
        contents: its instances.
    """

    at: datetime
    row: Row
    contents: Contents


async def look_again(run: Run, item: Item, rulebook: Rulebook) -> Seen:
    """Read a study and its patient's other studies anew, and judge it as if it had never been planned.

    Raises:
        Gone: there is no such study.
        Changed: anything at all is different.
        FailedByItself: its metadata, or the search for its patient, cannot be relied on.
        DICOMwebError, AzureError: it cannot be told.
    """
    at = clock.now()
    known = await run.ledger.find(item.key)
    found = await _read(run, item.key, needed_keywords(rulebook.policy))
    if found is None:
        raise await _not_there(run, item.key)
    reading, contents = found
    if known is None or known.purged_at is not None:
        raise Changed("ledger")
    row = replace(known, reading=reading)
    judgement = await _evaluate(run, rulebook, row, contents)
    if rulebook.holds_on(row):
        raise Changed("hold")
    await check_not_put_back(run, rulebook, item.key)
    _check(item, known, row, judgement)
    return Seen(at, row, contents)


async def evaluate_again(run: Run, item: Item, rulebook: Rulebook, seen: Seen) -> None:
    """Evaluate a study anew, by its patient's studies as they are by now.

    Its own instances and the lists are taken as they were seen: others compare them.

    Raises:
        Changed: it would not be planned as it was.
        FailedByItself: the search for the patient's studies cannot be relied on.
        DICOMwebError, AzureError: it cannot be told.
    """
    if not _is_as_planned(item, await _evaluate(run, rulebook, seen.row, seen.contents)):
        raise Changed("patient_returned")


async def check_not_received(run: Run, key: StudyKey, seen: Seen) -> None:
    """See that the ledger knows of no instance of a study that was received since the first look.

    Raises:
        Changed: it does, or it does not know the study any more.
        AzureError: it cannot be told.
    """
    row = await run.ledger.find(key)
    if row is None or row.purged_at is not None:
        raise Changed("ledger")
    if row.received != seen.row.received:
        raise Changed("contents")


async def would_be_kept(run: Run, rulebook: Rulebook, seen: Seen) -> bool:
    """Say whether a study that has been deleted would be kept, by its patient's studies as they are by now.

    Raises:
        FailedByItself, DICOMwebError, AzureError: it cannot be told.
    """
    return (await _evaluate(run, rulebook, seen.row, seen.contents, is_there=False)).state is not State.DUE


async def check_unchanged(run: Run, key: StudyKey, seen: Contents) -> None:
    """See that a study holds what it held: one request, and no more than a 304 where there is an ETag.

    Raises:
        Changed, FailedByItself: it does not.
        DICOMwebError: it cannot be told.
    """
    if seen.etag is None:
        is_changed = await read_contents(run, key) != seen
    else:
        is_changed = await _is_modified(run, key, seen.etag)
    if is_changed:
        raise Changed("contents")


async def read_contents(run: Run, key: StudyKey) -> Contents | None:
    """Return what a study holds; None if there is no such study.

    Raises:
        FailedByItself: its metadata cannot be relied on.
        DICOMwebError: it cannot be told.
    """
    found = await read_instances(run, key, lambda: _survey(run, key))
    if found is None:
        return None
    survey, etag = found
    return survey.contents(etag)


class _Look:
    """Takes instances for the ledger's reading and for what is held, so that a study's metadata are read once.

    Args:
        summing: what the rules need.
        survey: what the study holds.
    """

    def __init__(self, summing: Summing, survey: Survey) -> None:
        self.summing = summing
        self.survey = survey

    def add(self, instance: dict[str, Any]) -> None:
        self.summing.add(instance)
        self.survey.add(instance)


async def _read(run: Run, key: StudyKey, keywords: frozenset[str]) -> tuple[Reading, Contents] | None:
    found = await read_instances(run, key, lambda: _Look(Summing(keywords, run.hasher), _survey(run, key)))
    if found is None:
        return None
    look, etag = found
    return look.summing.reading(etag), look.survey.contents(etag)


def _survey(run: Run, key: StudyKey) -> Survey:
    return Survey(key.uid, run.clients.settings.tombstone_attributes or ())


async def is_gone(run: Run, key: StudyKey) -> bool:
    """Say whether there is no such study: neither its metadata, nor anything of it in a search.

    Raises:
        FailedByItself, DICOMwebError: it cannot be told.
    """
    return await read_contents(run, key) is None and not await is_found(run, key)


async def _is_modified(run: Run, key: StudyKey, etag: str) -> bool:
    dicom = run.dicom_of(key)
    try:
        metadata = await run.pace.ask(
            lambda: dicom.retrieve_study_metadata(study_instance_uid=key.uid, if_none_match=etag)
        )
    except NotFound:
        return True
    return metadata.is_modified and metadata.etag != etag


async def _not_there(run: Run, key: StudyKey) -> Exception:
    return Gone() if await is_gone(run, key) else FailedByItself("metadata_unusable")


async def check_not_put_back(run: Run, rulebook: Rulebook, key: StudyKey) -> None:
    """See that a study is not held since somebody has put it back.

    Whoever puts one back writes this hold first, and then looks for an intent: of the two, one sees the other.

    Raises:
        Changed: it is.
        AzureError: it cannot be told.
    """
    if await holds_of_restore(run.clients, key, today_of(rulebook.policy)):
        raise Changed("hold")


def _check(item: Item, known: Row, row: Row, judgement: Judgement) -> None:
    """See that nothing is different.

    Raises:
        Changed: something is.
    """
    if item.held_by:
        raise Changed("hold")
    reading = row.reading
    if reading is None or reading != known.reading:
        raise Changed("attributes")
    planned = (item.instances, item.received, item.etag)
    if (reading.instances, row.received, reading.etag) != planned:
        raise Changed("contents")
    if not _is_as_planned(item, judgement):
        raise Changed("judgement")


def _is_as_planned(item: Item, judgement: Judgement) -> bool:
    found = (judgement.state, judgement.keep_until, judgement.rule, dict(judgement.dates))
    return found == (State.DUE, item.keep_until, item.rule, dict(item.dates))


async def _evaluate(run: Run, rulebook: Rulebook, row: Row, contents: Contents, *, is_there: bool = True) -> Judgement:
    """Return a study's judgement of today, by its patient's studies as they are now."""
    group = await _studies_of_patient(run, row, contents, is_there=is_there)
    return judgement_of(rulebook, row, group, today_of(rulebook.policy))


async def _studies_of_patient(run: Run, row: Row, contents: Contents, *, is_there: bool) -> list[Row]:
    """Return the patient's studies as the ledger has them, purged ones too, and as the service has them now.

    A study comes up to three times, then: the latest of its dates counts. The study itself is found unless it has been
    deleted.
    """
    if row.reading is None or row.reading.patient is None:
        return []
    rows = await run.ledger.of_patient(row.reading.patient.group)
    partitions = await _all_partitions(run)
    found: list[Row] = []
    for patient_id in contents.patient_ids:
        # Ids are equal whatever blanks they have at their ends. A search ignores only spaces and NULs there.
        spellings = sorted({patient_id, patient_id.strip()})
        some = [
            one for partition in partitions for spelling in spellings for one in await _search(run, partition, spelling)
        ]
        # A search that does not even find the study that it is about may have missed others.
        if is_there and row.key not in {one.key for one in some}:
            raise FailedByItself("patient_not_found")
        found += some
    others = {one.key: one for one in rows if one.key != row.key}
    return [*rows, *found, *await _read_unread(run, others, [one for one in found if one.key != row.key])]


async def _read_unread(run: Run, known: Mapping[StudyKey, Row], found: Sequence[Row]) -> list[Row]:
    """Return what the metadata tell of those of a patient's studies that the ledger may not know as they are now.

    A search tells the values of the instance that was stored last: the others of its study may say something else.

    Args:
        run: of this night.
        known: the patient's other studies, as the ledger has them.
        found: what a search tells of the patient's other studies.

    Raises:
        DICOMwebError, AzureError: it cannot be told.
    """
    unread = {one.key for one in found if not _is_known(known.get(one.key), one)}
    unread |= (await run.ledger.marks_of({*known, *(one.key for one in found)} - unread)).keys()
    readings = {key: await read_or_miss(run, key, _DATES) for key in sorted(unread)}
    return [Row(key, reading=reading) for key, reading in readings.items() if reading is not None]


def _is_known(row: Row | None, found: Row) -> bool:
    """Say whether the ledger has a study with as many instances as a search tells."""
    if row is None or row.purged_at is not None or row.reading is None or found.reading is None:
        return False
    return row.reading.instances == found.reading.instances


async def _all_partitions(run: Run) -> tuple[str, ...]:
    """Return the names of all partitions: one may have been made since the run began."""
    if not run.partitions:
        return (DEFAULT_PARTITION,)
    now = await run.pace.ask(lambda: partition_names(run.clients.dicom))
    if not now:  # it had some when the run began
        raise FailedByItself("patient_not_found")
    return tuple(dict.fromkeys((*run.partitions, *now)))


async def _search(run: Run, partition: str, patient_id: str) -> list[Row]:
    try:
        query = Query({"PatientID": patient_id}, includefield=_WANTED, limit=MAX_LIMIT)
    except InvalidParameter:  # such an id cannot be searched for
        raise FailedByItself("patient_not_found") from None

    async def all_pages() -> list[Dataset]:
        async with aclosing(run.dicom(partition).iter_studies(query)) as studies:
            return [study async for study in studies]

    return [row_of_result(run.hasher, partition, study) for study in await run.pace.ask(all_pages)]


def row_of_result(hasher: Hasher, partition: str, study: Dataset) -> Row:
    """Return what a search tells of a study, as if the ledger had it (pure).

    Results need not name the issuer, and none counts with every one: the study is kept longer for it, never shorter.
    A birth date that a result has must be that of the patient's other studies.

    Raises:
        FailedByItself: it does not say in one text whose study it is.
    """
    patient = hasher.patient(_text(study, "PatientID"), _text(study, "IssuerOfPatientID"))
    if patient is None:
        raise FailedByItself("patient_not_found")
    attributes = {keyword: _value(study, keyword) for keyword in _DATES}
    is_whole = all(study.get(keyword) is None or is_one_text(study.get(keyword)) for keyword in _DATES)
    instances = study.get(_INSTANCES)
    number = int(instances) if isinstance(instances, int) else 0  # which no study that was read has
    reading = Reading(attributes, patient, frozenset(), instances=number, etag=None, is_whole=is_whole)
    return Row(StudyKey(partition, str(study.get("StudyInstanceUID") or "")), reading=reading)


def _value(study: Dataset, keyword: str) -> Values:
    value = _text(study, keyword)
    return Values(frozenset({value}), is_complete=True) if value else Values()


def _text(study: Dataset, keyword: str) -> str:
    """Return the one text that an element holds, as the ledger reads it; blank if it holds anything else."""
    value = study.get(keyword)
    return without_blanks(value) if is_one_text(value) else ""
