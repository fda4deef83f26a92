"""The lists as they were in the last night, and what has changed since (pure).

The memory has identifiers as keyed hashes only. It finds a line of a list of holds by the list's blob and the line's
identifiers (`HoldLine.key`): the line may move up and down, but must not be edited. It finds a date by the patient.
Lists have up to a million lines: compare them in a thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from purge_study.ledger import keys
from purge_study.ledger.row import Patient
from purge_study.policy.dates import UNCLEAR, may_be
from purge_study.rulebook.rulebook import Rulebook, RulebookFault

from .anchors import Anchors
from .holds import HoldLine, Holds
from .sheet import UNFINISHED

# A line of a list of holds: the list's blob, and the line's key.
LineKey = tuple[str, str]
# A patient in a list of dates: the list's blob, the hashes of group, id as written, and issuer.
DateKey = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a list that have the same identifiers; in most cases one line.

    Args:
        number: the first line's number in the file.
        holding: how many lines are not released.
        released: how many lines are released.
        has_matched: whether a line that is not released ever matched a study.
    """

    number: int
    holding: int
    released: int
    has_matched: bool = False

    def have_changed(self, now: Lines) -> bool:
        """Say whether a line is gone, was released, or holds again; another line is not a change."""
        return now.holding < self.holding or now.released < self.released

    def have_lost(self, now: Lines) -> bool:
        """Say whether a line that held is gone and was not released."""
        return now.holding < self.holding and now.holding + now.released < self.holding + self.released


_NO_LINES = Lines(0, 0, 0)


@dataclass(frozen=True)
class ListMemory:
    """All lists as they were.

    Args:
        holds: the lines of lists of holds: all lines of the last night, and those that vanished before.
        dates: the dates of lists of dates.
        with_end: the lists that had a line `#end`.
        alike: patients of the ledger whose ids differ only by leading zeros, case or issuer, and whom a list of dates
            may name: by their group, if it has several.
        knows_alike: whether `alike` was remembered: earlier versions of the app did not write it.
        is_first: whether nothing is remembered yet: before the first run, and with a new LEDGER_KEY.
        is_readable: False if the blob cannot be read: then nothing is deleted, and the blob stays for people to see.
    """

    holds: Mapping[LineKey, Lines] = field(default_factory=dict)
    dates: Mapping[DateKey, date] = field(default_factory=dict)
    with_end: frozenset[str] = frozenset()
    alike: Mapping[str, frozenset[Patient]] = field(default_factory=dict)
    knows_alike: bool = True
    is_first: bool = False
    is_readable: bool = True


@dataclass(frozen=True)
class ListChanges:
    """What has changed in lists since the last night.

    Args:
        obstacles: codes of what keeps anything from being deleted: `hold_vanished`, `memory_unreadable`.
        reports: codes of what makes tonight a report: `list_changed`, if a list lost or changed a line, has a new line
            that may settle what was unclear, or nothing is remembered yet, or not which patients have almost the same
            id. A later date is not a change, because it only keeps studies longer.
        vanished: the lines of holds that are gone and were not released, as `<list>, line <n>` of the last night.
        groups: patient groups whose dates have changed (`Ledger.of_patient`): their studies must be judged again.
    """

    obstacles: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Matching:
    """Which lines of lists match studies as they did; released ones left out of account.

    Args:
        obstacles: codes of what keeps anything from being deleted: `hold_matches_nothing`.
        reports: codes of what makes tonight a report: `list_changed`, if a list of dates was unclear about a patient
            and is not any more, because another patient has left the ledger.
        unmatched: the lines, as `<list>, line <n>`, for the plan.
        no_longer: those lines among them that matched a study before.
    """

    obstacles: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    no_longer: tuple[str, ...] = ()


def compare(memory: ListMemory, rulebook: Rulebook) -> ListChanges:
    """Say what has changed in lists since the last night.

    Raises:
        RulebookFault: `list_unfinished`: a list that had a line `#end` has none now.
    """
    _check_ends(memory, rulebook)
    holds, dates = _holds_in(rulebook), _dates_in(rulebook)
    changed = [(key, was) for key, was in memory.holds.items() if was.have_changed(holds.get(key, _NO_LINES))]
    vanished = [_place(key, was.number) for key, was in changed if was.have_lost(holds.get(key, _NO_LINES))]
    has_less = any(key not in dates or _may_end_sooner(day, dates[key]) for key, day in memory.dates.items())
    may_end_sooner = has_less or _may_settle(memory.dates, dates) or (bool(dates) and not memory.knows_alike)
    return ListChanges(
        (*_if(bool(vanished), "hold_vanished"), *_if(not memory.is_readable, "memory_unreadable")),
        _if(bool(changed) or may_end_sooner or memory.is_first, "list_changed"),
        tuple(vanished),
        frozenset(group for _, group, *_ in _different(memory.dates, dates)) | _without_patient(memory, dates),
    )


def matching(
    memory: ListMemory, rulebook: Rulebook, matches: Collection[LineKey], alike: Mapping[str, frozenset[Patient]]
) -> Matching:
    """Say which lines of holds match no study, and whether a date counts for a patient since another one is gone.

    Args:
        memory: of earlier nights.
        rulebook: of tonight.
        matches: the lines that match one, purged ones too (`find_matches`).
        alike: the patients of tonight (`find_patients_of_dates`), also of the groups that are remembered.
    """
    unmatched = [(key, line.number) for key, line in holding_lines(rulebook) if key not in matches]
    no_longer = [_place(key, number) for key, number in unmatched if _has_matched(memory, key)]
    places = tuple(_place(key, number) for key, number in unmatched)
    obstacles = _if(bool(no_longer), "hold_matches_nothing")
    return Matching(obstacles, _if(_is_settled(memory, rulebook, alike), "list_changed"), places, tuple(no_longer))


def _is_settled(memory: ListMemory, rulebook: Rulebook, alike: Mapping[str, frozenset[Patient]]) -> bool:
    """Say whether tonight's lists have a date for a patient, and were unclear with the patients of the last time."""
    return any(
        anchors.date_of(patient, then) == UNCLEAR != anchors.date_of(patient, alike[group])
        for anchors in rulebook.anchors.values()
        for group, then in memory.alike.items()
        for patient in alike.get(group, ())
    )


def to_remember(
    memory: ListMemory,
    rulebook: Rulebook,
    matches: Collection[LineKey],
    alike: Mapping[str, frozenset[Patient]],
) -> ListMemory:
    """Return what to remember of a night: also lines that vanished, until they are there as released.

    A memory that could not be read stays as it is. Args: as for `matching`.
    """
    if not memory.is_readable:
        return memory
    holds = {
        key: replace(lines, has_matched=lines.holding > 0 and (key in matches or _has_matched(memory, key)))
        for key, lines in _holds_in(rulebook).items()
    }
    lost = {key: was for key, was in memory.holds.items() if was.have_lost(holds.get(key, _NO_LINES))}
    several = {group: patients for group, patients in alike.items() if len(patients) > 1}
    return ListMemory(holds | lost, _dates_in(rulebook), memory.with_end | _with_end(rulebook), several)


def holding_lines(rulebook: Rulebook) -> Iterator[tuple[LineKey, HoldLine]]:
    """Yield the lines of lists of holds that are not released."""
    return ((key, line) for key, line in _lines_in(rulebook) if not line.is_released)


def _lines_in(rulebook: Rulebook) -> Iterator[tuple[LineKey, HoldLine]]:
    lists = {holds.blob: holds for holds in rulebook.holds.values()}  # each once, however often the policy names it
    return (((blob, line.key), line) for blob, holds in lists.items() for line in holds.lines)


def _holds_in(rulebook: Rulebook) -> dict[LineKey, Lines]:
    found: dict[LineKey, Lines] = {}
    for key, line in _lines_in(rulebook):
        before = found.get(key, Lines(line.number, 0, 0))
        found[key] = Lines(before.number, before.holding + (not line.is_released), before.released + line.is_released)
    return found


def _dates_in(rulebook: Rulebook) -> dict[DateKey, date]:
    return {
        (anchors.blob, patient.group, patient.exact, patient.issuer or ""): day
        for anchors in rulebook.anchors.values()
        for patient, day in anchors.dates.items()
    }


def _with_end(rulebook: Rulebook) -> frozenset[str]:
    return frozenset(one.blob for one in _lists(rulebook) if one.has_end)


def _lists(rulebook: Rulebook) -> tuple[Holds | Anchors, ...]:
    return (*rulebook.holds.values(), *rulebook.anchors.values())


def _check_ends(memory: ListMemory, rulebook: Rulebook) -> None:
    blobs = {one.blob for one in _lists(rulebook)}
    if cut := sorted((blobs & memory.with_end) - _with_end(rulebook)):
        raise RulebookFault(UNFINISHED, [f"{blob}: it has no line #end, as it had before" for blob in cut])


def _different(one: Mapping[DateKey, date], other: Mapping[DateKey, date]) -> set[DateKey]:
    return {key for key, _ in one.items() ^ other.items()}


def _may_end_sooner(was: date, now: date) -> bool:
    """Say whether another date may end a study's time sooner; an impossible date keeps the study."""
    return may_be(now) and (now < was or not may_be(was))


def _may_settle(before: Mapping[DateKey, date], now: Mapping[DateKey, date]) -> bool:
    """Say whether there is a new line that may settle whose patient another line is about.

    Such a line has almost the same id as the other line, and an issuer that does not contradict the other line's.
    """
    new = now.keys() - before.keys()
    places = {(blob, group) for blob, group, *_ in new}
    issuers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for blob, group, _, issuer in before:
        if (blob, group) in places:
            issuers[blob, group].add(issuer)
    return any(_go_together(issuer, issuers.get((blob, group), set())) for blob, group, _, issuer in new)


def _go_together(issuer: str, others: Collection[str]) -> bool:
    return bool(others) and (not issuer or "" in others or issuer in others)


def _without_patient(memory: ListMemory, dates: Mapping[DateKey, date]) -> frozenset[str]:
    """Return the group of studies without a patient, if a list got its first line or lost its last one."""
    is_changed = {blob for blob, *_ in memory.dates} != {blob for blob, *_ in dates}
    return frozenset({keys.NO_PATIENT}) if is_changed and not memory.is_first else frozenset()


def _has_matched(memory: ListMemory, key: LineKey) -> bool:
    return key in memory.holds and memory.holds[key].has_matched


def _place(key: LineKey, number: int) -> str:
    return f"{key[0]}, line {number}"


def _if(is_so: bool, code: str) -> tuple[str, ...]:
    return (code,) if is_so else ()
