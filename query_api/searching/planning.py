"""What a search asks for → what is asked of the service, which knows neither wildcards nor lists; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import filterfalse, product
from math import prod
from typing import Final

from shared.dicomweb import Query
from shared.problems import invalid_parameter

from .adaptations import Adapt, adaptation
from .attributes import (
    ALL_FIELDS,
    COMPUTED,
    MODALITIES_IN_STUDY,
    MODALITY,
    NUMBER_OF_SERIES_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_SERIES,
    STUDY_INSTANCE_UID,
    Level,
    Scope,
    keyword_of,
    tag_of,
)
from .parameters import Filter, Parameters
from .values import MAX_VALUES, listed
from .wildcards import VRS as WILDCARD_VRS
from .wildcards import Pattern, fuzzy_prefix, has_wildcard, matches_all

# Counts that the service has nowhere, and the level of the results for which they can be had, if any.
_NOT_HAD_BUT_FOR: Final[Mapping[str, Level | None]] = {
    "00201200": None,  # NumberOfPatientRelatedStudies
    "00201202": None,  # NumberOfPatientRelatedSeries
    "00201204": None,  # NumberOfPatientRelatedInstances
    NUMBER_OF_STUDY_RELATED_SERIES: Level.STUDY,
    NUMBER_OF_SERIES_RELATED_INSTANCES: Level.SERIES,
}
_FOUND_OUT: Final[Mapping[Level, frozenset[str]]] = {
    Level.STUDY: frozenset({*COMPUTED[Level.STUDY], NUMBER_OF_STUDY_RELATED_SERIES}),
    Level.SERIES: frozenset(COMPUTED[Level.SERIES]),
    Level.INSTANCE: frozenset(),
}


@dataclass(frozen=True)
class Step:
    """One search of the service.

    Args:
        query: without its page.
        patterns: what its results must match besides.
    """

    query: Query
    patterns: tuple[Pattern, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All that is asked of the service for one search.

    Args:
        scope: what is searched.
        steps: in the order of their results.
        offset: results to pass over, of all steps together.
        limit: results to give.
        found_out: tags that were asked for, to be found out where the service does not give them.
    """

    scope: Scope
    steps: tuple[Step, ...]
    offset: int
    limit: int
    found_out: frozenset[str] = frozenset()

    def strictly(self) -> Plan:
        """Return the same where nothing may be adapted: what the service counts and does not give is then not there."""
        return replace(self, found_out=self.found_out - set(COMPUTED[self.scope.level]))

    @property
    def is_direct(self) -> bool:
        """Whether the service's pages are ours."""
        return len(self.steps) == 1 and not self.steps[0].patterns

    @property
    def finds_one(self) -> bool:
        """Whether no step can find more than one result: each names a study by its UID, which is in no other."""
        if self.scope.level is not Level.STUDY:
            return False
        return all(STUDY_INSTANCE_UID in map(tag_of, step.query.filters) for step in self.steps)


def plan_of(parameters: Parameters, scope: Scope, max_results: int, adapt: Adapt) -> Plan:
    """Return what to ask of the service.

    Args:
        parameters: of the search.
        scope: what is searched.
        max_results: to give at a time.
        adapt: is told of all that is done in another way than it is asked for, and may refuse it.

    Raises:
        Refused: 400, lists whose combinations are too many; or whatever `adapt` raises.
    """
    return _Planning(parameters, scope, adapt).plan(max_results)


class _Planning:
    def __init__(self, parameters: Parameters, scope: Scope, adapt: Adapt) -> None:
        self._parameters = parameters
        self._scope = scope
        self._adapt = adapt

    def plan(self, max_results: int) -> Plan:
        parameters = self._parameters
        fields = self._fields()
        found_out = frozenset(fields) & _FOUND_OUT[self._scope.level]
        fields |= {tag: tag for tag in COMPUTED[self._scope.level] if tag not in fields}
        filters = self._without_stars(fields)
        steps = [self._step(combination, fields) for combination in self._combinations(filters)]
        limit = max_results if parameters.limit is None else parameters.limit
        if limit > max_results:
            self._adapt(adaptation("limit-capped"))
        return Plan(self._scope, tuple(steps), parameters.offset, min(limit, max_results), found_out)

    def _without_stars(self, fields: dict[str, str]) -> list[Filter]:
        """Return the filters but those that all results match, whose attributes become fields."""
        for filter_ in filter(_is_star, self._parameters.filters):
            self._adapt(adaptation("star-dropped", filter_.called))
            fields[filter_.attribute.tag] = filter_.name
        return list(filterfalse(_is_star, self._parameters.filters))

    def _combinations(self, filters: Sequence[Filter]) -> Iterator[tuple[Filter, ...]]:
        alternatives = [listed(filter_.attribute.vr, filter_.value) for filter_ in filters]
        lists = [filter_ for filter_, values in zip(filters, alternatives, strict=True) if len(values) > 1]
        if prod(map(len, alternatives)) > MAX_VALUES:
            raise invalid_parameter(lists[-1].called, f"The lists make more than {MAX_VALUES} searches.")
        for filter_ in lists:
            self._adapt(adaptation("list-split", filter_.called))
        for values in product(*alternatives):
            yield tuple(replace(filter_, value=value) for filter_, value in zip(filters, values, strict=True))

    def _step(self, filters: Sequence[Filter], fields: Mapping[str, str]) -> Step:
        patterns = list(filter(_is_pattern, filters))
        prefixes = self._prefixes(filters)
        for filter_ in patterns:
            by_name = filter_.name in prefixes
            self._adapt(adaptation("wildcard-by-fuzzymatching" if by_name else "wildcard-by-scan", filter_.called))
        is_fuzzy = self._parameters.fuzzymatching
        if prefixes and not is_fuzzy:
            # The service would take the other names for beginnings of words, too.
            patterns += [filter_ for filter_ in filters if filter_.attribute.vr == "PN" and filter_ not in patterns]
        exact = {filter_.name: filter_.value for filter_ in filterfalse(_is_pattern, filters)}
        wanted = {**{filter_.attribute.tag: filter_.name for filter_ in patterns}, **fields}
        query = _query(exact | prefixes, wanted, is_fuzzy=is_fuzzy or bool(prefixes))
        return Step(query, tuple(map(_pattern, patterns)))

    def _prefixes(self, filters: Sequence[Filter]) -> dict[str, str]:
        """Return what names with wildcards begin with, where the service can look for that."""
        names = [filter_ for filter_ in filters if filter_.attribute.vr == "PN"]
        whole = [filter_.value for filter_ in names if not _is_pattern(filter_)]
        if not self._parameters.fuzzymatching and not all(map(_can_be_fuzzy, whole)):
            return {}
        prefixes = {filter_.name: fuzzy_prefix(filter_.value) for filter_ in names if _is_pattern(filter_)}
        return {name: prefix for name, prefix in prefixes.items() if prefix}

    def _fields(self) -> dict[str, str]:
        """Return what results shall have, by tag, as it is to be asked for."""
        asked = self._parameters.includefield
        fields: dict[str, str] = {}
        if any(field.lower() == "all" for field in asked):
            fields = {tag: tag for level in self._scope.levels for tag in ALL_FIELDS[level]}
        dropped = []
        for number, field in enumerate(asked, 1):
            if field and field.lower() != "all" and not self._take_field(field, fields):
                dropped.append(_called(field, number))
        if dropped:
            self._adapt(adaptation("includefield-dropped", *dropped))
        return fields

    def _take_field(self, field: str, fields: dict[str, str]) -> bool:
        tag = tag_of(field)
        if tag is None or _NOT_HAD_BUT_FOR.get(tag, self._scope.level) is not self._scope.level:
            return False
        if tag == MODALITY and self._scope.level is Level.STUDY:
            self._adapt(adaptation("includefield-modality"))
            tag = field = MODALITIES_IN_STUDY
        fields[tag] = field
        return True


def _query(filters: Mapping[str, str], wanted: Mapping[str, str], *, is_fuzzy: bool) -> Query:
    """Return a search whose results have what is wanted, by tag; what is searched for they have of themselves."""
    tags = set(map(tag_of, filters))
    includefield = [name for tag, name in wanted.items() if tag not in tags]
    return Query(filters=filters, includefield=includefield, fuzzymatching=is_fuzzy)


def _is_star(filter_: Filter) -> bool:
    return matches_all(filter_.value)


def _is_pattern(filter_: Filter) -> bool:
    return filter_.attribute.vr in WILDCARD_VRS and has_wildcard(filter_.value)


def _can_be_fuzzy(name: str) -> bool:
    return '"' not in name and any(map(str.isalnum, name))


def _pattern(filter_: Filter) -> Pattern:
    return Pattern(filter_.attribute.tag, filter_.value, is_name=filter_.attribute.vr == "PN")


def _called(field: str, number: int) -> str:
    tags = [tag_of(part) for part in field.split(".")]
    keywords = ["" if tag is None else keyword_of(tag) for tag in tags]
    return ".".join(keywords) if all(keywords) else f"item {number}"
