"""A plan as a page to read, to print and to keep: HTML without scripts, with nothing from elsewhere (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from purge_study.ledger.row import Row
from purge_study.policy.words import doubt_in_words
from shared.settings import BeforeDelete, PurgeMode

from . import chart, wording
from .decision import Decision
from .markup import Content, document, tag
from .plan import EARLIER, Item, Plan
from .wording import Reason, number

_STYLE: Final = Path(__file__).with_name("page.css")
# All are in the other forms; a browser has its limits.
_MOST_ROWS: Final = 1000
_MOST_HELD: Final = 100
_MODES: Final = {
    PurgeMode.REPORT: "report: nothing is deleted",
    PurgeMode.APPROVE: "approve: what somebody has approved is deleted",
    PurgeMode.DELETE: "delete: what is due is deleted",
}


@dataclass(frozen=True)
class Page:
    """What the page tells.

    Args:
        plan_id: of the plan.
        made_at: when it was made.
        decision: what of it goes tonight.
        doubtful: some of the studies that are kept because something is unknown, by the doubt's code.
    """

    plan_id: str
    made_at: datetime
    decision: Decision
    doubtful: Mapping[str, Sequence[Row]]

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.decision.plan


def to_html(page: Page) -> bytes:
    """Return the page in UTF-8."""
    title = f"Retention plan for {page.plan.day.day} {page.plan.day:%B %Y}"
    policy = "default-src 'none'; style-src 'unsafe-inline'"  # should anything else get in, it would not run
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="content-security-policy", content=policy),
        tag("meta", name="viewport", content="width=device-width"),
        tag("meta", name="robots", content="noindex"),
        tag("title", title),
        tag("style", _STYLE.read_text("utf-8")),
    )
    main = tag("main", _heading(page, title), *_sections(page))
    return document(tag("html", head, tag("body", main), lang="en"))


def _sections(page: Page) -> Iterable[Element]:
    yield _tonight(page)
    yield _figures(page)
    yield _chart(page)
    yield _studies(page)
    if any(item.held_by for item in page.plan.items):
        yield _held(page)
    yield _lines("Lines of hold lists that match no study", page.plan.unmatched_holds)
    yield _lines("Lines of date lists that match no study", page.plan.unmatched_dates)
    yield _doubtful(page)
    yield _basis(page)


def _heading(page: Page, title: str) -> Element:
    none = page.plan.before_delete == BeforeDelete.NONE
    before = tag("p", tag("strong", "Before a deletion: "), wording.before_delete(page.plan))
    before.set("class", "warning" if none else "before")
    made = f"Plan {page.plan_id}, made on {_time(page.made_at)}."
    return tag("header", tag("h1", title), before, tag("p", made, class_="quiet"))


def _tonight(page: Page) -> Element:
    decision = page.decision
    stops, waits = wording.stops(decision), wording.waits(decision)
    headline = tag("p", _headline(decision), class_="headline")
    parts: list[Content] = [headline]
    if stops:
        parts += [tag("h3", "What keeps it from going"), _reasons(stops)]
    if waits:
        parts += [tag("h3", "What stays for now" if decision.items else "What would stay for now"), _reasons(waits)]
    parts += _approvals(decision)
    if decision.plan.count and (decision.met.mode is PurgeMode.APPROVE or decision.is_over_usual):
        parts.append(_how_to_approve(page))
    state = "goes" if decision.items else "stays"
    return tag("section", tag("h2", "Tonight"), *parts, class_=f"tonight {state}")


def _headline(decision: Decision) -> str:
    if decision.items:
        return f"To be deleted tonight: {_studies_count(len(decision.items))}."
    if not decision.plan.count:
        return "Nothing is due: nothing is deleted tonight."
    return f"Nothing is deleted tonight. Due: {_studies_count(decision.plan.count)}."


def _reasons(reasons: Iterable[Reason]) -> Element:
    entries = (
        tag("li", tag("p", reason.what, " ", tag("code", reason.code)), tag("p", reason.how, class_="how"))
        for reason in reasons
    )
    return tag("ul", *entries, class_="reasons")


def _approvals(decision: Decision) -> Iterable[Element]:
    """Say by which approvals studies go tonight, or would if nothing stopped it."""
    counted = Counter(decision.approvals[item.key] for item in decision.would_go if item.key in decision.approvals)
    for approval, count in counted.items():
        when = f"{approval.approver}, on {_time(approval.approved_at)}, in plan {approval.plan_id}"
        yield tag("p", f"Approved: {_studies_count(count)}, by {when}.")


def _how_to_approve(page: Page) -> Element:
    return tag(
        "p",
        "To approve this plan, its hash and its count are typed: ",
        tag("code", page.plan.hash, class_="hash"),
        ", ",
        tag("code", str(page.plan.count)),
        ". An approval is for the studies to be deleted as they stand here: not for those that are held, nor for one "
        "that has changed since.",
        class_="approval",
    )


def _figures(page: Page) -> Element:
    plan, decision, limits = page.plan, page.decision, page.decision.limits
    shown = {
        "Mode": _MODES[decision.met.mode],
        "Studies in all": number(plan.studies),
        **{wording.GROUPS[group]: number(count) for group, count in plan.groups.items()},
        "Newly due since the last plan": f"{number(decision.newly_due)} ({number(limits.newly_due)} allowed)",
        "To go in this night": f"{number(len(decision.would_go))} ({number(limits.per_night)} allowed)",
        "Usual in a night": "not known yet" if limits.usual is None else number(limits.usual),
        "Of these without approval": f"{number(decision.unapproved)} ({_allowed(limits.unapproved)})",
    }
    entries = (tag("div", tag("dt", name), tag("dd", value)) for name, value in shown.items())
    return tag("section", tag("h2", "In figures"), tag("dl", *entries))


def _allowed(limit: int | None) -> str:
    return "no limit yet" if limit is None else f"{number(limit)} allowed"


def _chart(page: Page) -> Element:
    series = chart.series_of(page.plan)
    earlier = f"Last day in an earlier month, and still there: {number(series.total(EARLIER))} studies. "
    return tag(
        "section",
        tag("h2", "What goes in the next twelve months"),
        tag("p", earlier, "Studies go after their last day, if no hold keeps them; holds are not in these figures."),
        tag("figure", chart.picture(series), chart.legend(series)),
        chart.figures(series),
    )


def _studies(page: Page) -> Element:
    decision = page.decision
    tonight = decision.items or decision.would_go or page.plan.to_delete
    title = "Studies that go tonight" if decision.items else "Studies that would go"
    shown = tonight[:_MOST_ROWS]
    note = _of_all(page, len(shown), page.plan.count)
    table = _table(_COLUMNS, map(_study_row, shown), "studies") if shown else tag("p", "None.")
    return tag("section", tag("h2", title), note, table)


def _held(page: Page) -> Element:
    held = [item for item in page.plan.items if item.held_by]
    shown = held[:_MOST_HELD]
    rows = ([*_study_row(item)[:4], ", ".join(item.held_by)] for item in shown)
    note = _of_all(page, len(shown), len(held))
    return tag("section", tag("h2", "Kept by a hold list"), note, _table((*_COLUMNS[:4], "Held by"), rows, "held"))


def _of_all(page: Page, shown: int, of: int) -> Element:
    whole = tag("a", f"{page.plan_id}.csv", href=f"{page.plan_id}.csv")
    return tag(
        "p", f"{number(shown)} of {number(of)} are shown here, the longest overdue first; all are in ", whole, "."
    )


def _lines(title: str, lines: Sequence[str]) -> Element:
    body = tag("ul", *(tag("li", line) for line in lines)) if lines else tag("p", "None.")
    return tag("section", tag("h2", title), body)


def _doubtful(page: Page) -> Element:
    name = f"{page.plan_id}.listed.jsonl"
    note = tag(
        "p",
        "Nobody knows how long these are to be kept: they stay. One with several reasons counts for each. All: ",
        tag("a", name, href=name),
        ".",
    )
    rows = (_doubt_row(code, count, page.doubtful.get(code, ())) for code, count in sorted(page.plan.listed.items()))
    table = _table(("Why", "Studies", "The first of them"), rows) if page.plan.listed else tag("p", "None.")
    return tag("section", tag("h2", "Kept because something is unknown"), note, table)


def _doubt_row(code: str, count: int, first: Sequence[Row]) -> Sequence[Content]:
    why = tag("span", wording.DOUBTS.get(code, code), " ", tag("code", code))
    return why, number(count), tag("ul", *(_doubtful_study(row, code) for row in first))


def _doubtful_study(row: Row, code: str) -> Element:
    doubts = row.judgement.doubts if row.judgement else ()
    words = "; ".join(doubt_in_words(doubt) for doubt in doubts if doubt.code == code)
    return tag("li", tag("code", row.key.uid), f" in {row.key.partition}: {words}")


def _basis(page: Page) -> Element:
    rows = ((name, tag("code", digest, class_="hash")) for name, digest in page.plan.hashes.items())
    forms = (tag("li", tag("a", name, href=name), f", {what}") for name, what in _forms(page.plan_id).items())
    return tag(
        "section",
        tag("h2", "What it was made from"),
        _table(("Blob in retention-policy", "SHA-256"), rows),
        tag("p", "SHA-256 of this plan, as its JSON lines: ", tag("code", page.plan.hash, class_="hash")),
        tag("h3", "Other forms"),
        tag("ul", *forms),
    )


def _forms(plan_id: str) -> dict[str, str]:
    return {
        f"{plan_id}.csv": "a table for a signature",
        f"{plan_id}.jsonl": "the plan itself, whose hash is approved",
        f"{plan_id}.listed.jsonl": "all that is kept because something is unknown",
        f"{plan_id}.json": "this page's beginning, for machines",
    }


_COLUMNS: Final = ("Study", "Rule", "Counted from", "Last day kept", "Instances", "Modalities", "Newest received")


def _study_row(item: Item) -> list[Content]:
    dates = (tag("li", f"{anchor} ", _day(day)) for anchor, day in sorted(item.dates.items()))
    return [
        tag("span", tag("code", item.key.uid), " in ", item.key.partition),
        item.rule,
        tag("ul", *dates),
        _day(item.keep_until),
        number(item.instances),
        ", ".join(item.modalities),
        _day(item.received.astimezone(UTC)),
    ]


def _day(day: date) -> Element:
    return tag("time", f"{day:%Y-%m-%d}")


def _table(columns: Sequence[str], rows: Iterable[Iterable[Content]], kind: str = "plain") -> Element:
    head = tag("thead", tag("tr", *(tag("th", column, scope="col") for column in columns)))
    return tag(
        "table", head, tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows)), class_=kind
    )


def _studies_count(count: int) -> str:
    return "1 study" if count == 1 else f"{number(count)} studies"


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
