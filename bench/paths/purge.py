"""A night of retention: its plan over archives of several sizes, and what it asks for to delete.

Plans are made over imitations of table and service in this process, which count what they are asked: the figures are
the processor's time of the app alone. Deletions go to Azurite and the stand-in of the DICOM service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.aims import at_most
from bench.results import Row, row_of
from bench.retention.deleting import RECHECK, VAULT, Deleted, archive, delete_by_loop, delete_by_nights
from bench.retention.planning import Archive, Cost
from bench.turns import Bench

SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (1_000, 10_000)
THE_SAME = 300  # studies due, and new, whatever the size
SHARE = 100  # or one in so many
DELETED = 50
QUICK_DELETED = 5


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows: the plan with as much due at each size, the plan with 1 % due, a night's deletions."""
    sizes = bench.either(SIZES, QUICK_SIZES)
    yield from _plans(bench, f"plan, {THE_SAME} due and new", dict.fromkeys(sizes, THE_SAME))
    yield from _plans(bench, "plan, 1 % due and new, per such pair", {size: size // SHARE for size in sizes})
    yield from _deletions(bench)


def _plans(bench: Bench, case: str, due: Mapping[int, int]) -> Iterator[Row]:
    """Yield a row for each size, beside the size before: the last one has the aim."""
    archives = {f"{size:,}": Archive(size, count, count) for size, count in due.items()}
    found = bench.in_turns(f"purge, {case}", {name: archive.night for name, archive in archives.items()})
    shares = [1] * len(due) if len(set(due.values())) == 1 else due.values()  # as much due at each: no share of it
    taken = {
        name: [1000 * cost.seconds / share for cost in costs]
        for (name, costs), share in zip(found.items(), shares, strict=True)
    }
    names = list(archives)
    for name, smaller in zip(names[1:], names, strict=False):
        aim = at_most(1.3) if name == names[-1] else None
        here = f"{case}, {name} studies"
        yield row_of("purge", here, "ms", taken[name], f"at {smaller}", taken[smaller], aim)
    yield from _requests(case, found, due)


def _requests(case: str, found: Mapping[str, list[Cost]], due: Mapping[int, int]) -> Iterator[Row]:
    """Yield what is asked of table and service for a pair: a study that is due and one that is new."""
    for (name, costs), count in zip(found.items(), due.values(), strict=True):
        asked = [(cost.table + cost.service) / count for cost in costs]
        yield row_of("purge", f"{case}, {name} studies", "requests/pair", asked)


def _deletions(bench: Bench) -> Iterator[Row]:
    studies = bench.either(DELETED, QUICK_DELETED)
    with archive(bench.folder) as (storage, service):
        loop = delete_by_loop(service, studies, first=0)
        night = delete_by_nights(storage, service, studies, first=studies)
    case = f"deletion, {studies} studies"
    against = "a loop of deletes"
    yield row_of(
        "purge",
        f"{case}, beyond re-check and vault",
        "requests/study",
        [night.beyond],
        against,
        [loop.beyond],
        at_most(1.1),
    )
    for name, figure in _shares(night).items():
        yield row_of("purge", f"{case}, {name}", "requests/study", [figure])


def _shares(night: Deleted) -> dict[str, float]:
    shares = {f"re-check, {kind}": night.requests(kind) for kind in RECHECK}
    shares |= {"vault": night.requests(*VAULT)}
    return shares | {f"{name} storage": count / night.studies for name, count in sorted(night.storage.items())}
