"""A hundred studies of many kinds on the whole local stack, night after night."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from local.stack import Stack
from tests.kit.drop_box import Instance
from tests.kit.nights import Nights

# Far enough from today, so that no real clock is meant by chance.
STORED = datetime(2030, 1, 1, 12, tzinfo=UTC)
FIRST_DUE = datetime(2038, 1, 2, 3, tzinfo=UTC)
PER_NIGHT = 8
POLICY = f"""
[policy]
time_zone = "Europe/Paris"
placeholder_birth_dates = ["19010101"]

[[rule]]
name = "mammography"
when = {{ modality = ["MG"] }}
keep_years = 10

[[rule]]
name = "children"
when = {{ age_at_study_below = 18 }}
keep_until_age = 25

[[rule]]
name = "radiotherapy"
when = {{ modality = ["RTPLAN", "RTDOSE"] }}
keep_years = 30
from = ["study_date", "last seen"]

[[rule]]
name = "teaching"
when = {{ description_words = ["teaching"] }}
keep_forever = true

[[rule]]
name = "everything else"
keep_years = 8

[[hold]]
name = "litigation"
list = "holds/litigation.csv"

[[anchor]]
name = "last seen"
list = "anchors/last_seen.csv"
max_age_days = 36500

[brakes]
per_night = {PER_NIGHT}
max_share = 0.5
"""
"""
Eight years after 2020 is long past in 2038, and so is the tenth for mammograms in 2030; what is left counts from the
day of reception, 2030-01-01: to 2038-01-01, to 2040-01-01, to 2060-01-01.
"""


_ADULT = {
    "StudyDate": "20200102",
    "PatientBirthDate": "19700404",
    "Modality": "CT",
    "StudyDescription": "Thorax routine",
}
# What is stored of each kind: how many, what is other than of an adult's CT.
KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "adult": (3 * PER_NIGHT, {}),
    "mammogram": (10, {"Modality": "MG"}),
    "child": (10, {"PatientBirthDate": "20190505"}),
    "no birth date": (10, {"PatientBirthDate": ""}),
    "placeholder": (5, {"PatientBirthDate": "19010101"}),
    "nobody's": (5, {"PatientID": ""}),
    "undated": (5, {"StudyDate": ""}),
    "of the future": (5, {"StudyDate": "20990101"}),
    "teaching": (5, {"StudyDescription": "Teaching file"}),
    "described by nobody": (5, {"StudyDescription": ""}),
    "radiotherapy": (5, {"Modality": "RTPLAN"}),
    "not seen": (5, {"Modality": "RTPLAN"}),
    "held": (6, {}),
}


@dataclass(frozen=True)
class Archive:
    """A hundred studies and what keeps them."""

    nights: Nights
    studies: dict[str, list[Instance]]

    def of(self, *kinds: str) -> set[str]:
        """Return the UIDs of some kinds of studies."""
        return {study.study for kind in kinds for study in self.studies[kind]}

    def gone(self) -> set[str]:
        """Return the UIDs of the studies that are there no longer."""
        return self.of(*self.studies) - self.nights.studies()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """The studies, stored on one day long ago; it is the first day on which some are due."""
    settings = {"PURGE_MODE": "delete", "FEED_LAG_SECONDS": "0"}
    with Stack(tmp_path_factory.mktemp("nights"), auth=True, poll_seconds=0.25, settings=settings) as stack:
        nights = Nights(stack)
        nights.store_on(STORED)
        filled = Archive(nights, _store_all(nights))
        nights.write("policy.toml", POLICY)
        nights.write("holds/litigation.csv", _holds(filled.studies["held"]))
        nights.write("anchors/last_seen.csv", _last_seen(len(filled.studies["radiotherapy"])))
        nights.set_time(FIRST_DUE)
        yield filled


def _store_all(nights: Nights) -> dict[str, list[Instance]]:
    studies: dict[str, list[Instance]] = {}
    for kind, (number, attributes) in KINDS.items():
        own = [{"PatientID": f"{kind}{n}", "AccessionNumber": f"00{kind[:3]}{n}"} for n in range(number)]
        studies[kind] = [nights.store(**{**_ADULT, **one, **attributes}) for one in own]
    studies["came again"] = [nights.store(**_ADULT, PatientID="again")]
    studies["again"] = [nights.store(**{**_ADULT, "StudyDate": "20350101"}, PatientID="again")]
    return studies


def _holds(studies: list[Instance]) -> str:
    """Return a list that holds studies by their UIDs, by accession numbers without their zeros, and by patients."""
    lines = ["Study_Instance_UID;accession_number;patient_id;issuer;released;released_by"]
    lines += [f"{study.study};;;;;" for study in studies[:2]]
    lines += [f";hel{n};;;;" for n in (2, 3)]
    lines += [f";;held{n};;;" for n in (4, 5)]
    return "\r\n".join([*lines, f"#end;{len(studies)};;;;"])


def _last_seen(number: int) -> str:
    return "patient_id,date\n" + "".join(f"radiotherapy{n},2020-06-01\n" for n in range(number))


def test_a_hundred_studies_night_after_night(archive: Archive) -> None:
    """The first night is a report; then the oldest go, some a night, each with its tombstone and its copy."""
    nights = archive.nights
    assert sum(map(len, archive.studies.values())) == 102
    report = nights.night()
    assert report.event["deleted"] == 0
    due = archive.of("adult")
    assert set(report.due) == due | archive.of("held")
    assert not archive.gone()
    for night in (1, 2, 3):
        done = nights.next_night()
        assert done.event["deleted"] == PER_NIGHT, done
        assert len(archive.gone()) == night * PER_NIGHT
    assert archive.gone() == due == set(nights.tombstones())
    for study in archive.studies["adult"]:
        assert nights.vaulted(study.study) == [study.content]
    assert nights.night().event["deleted"] == 0
    assert archive.gone() == due
