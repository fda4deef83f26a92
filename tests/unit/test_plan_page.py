"""The page of a plan: what it says, and that nothing in it is code."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from purge_study.planning import chart
from purge_study.planning.approvals import Approval, Approved
from purge_study.planning.decision import Decision
from purge_study.planning.documents import summary
from purge_study.planning.markup import tag
from purge_study.planning.page import Page, to_html
from purge_study.planning.plan import Plan, plan_id, read_lines
from purge_study.planning.wording import GROUPS
from purge_study.policy.policy import Doubt
from purge_study.preview.summary import lines_of
from shared.settings import PurgeMode
from tests.kit.plans import MADE_AT, decision, doubtful_row, item, jsonl, memory, plan

HOSTILE = "<script>alert('1')</script>\"&<b>"
VOID = {"meta"}


class Seen(HTMLParser):
    """What a browser makes of the page: its elements, which are closed in order, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(name)
        self.attributes += [f"{key}={value}" for key, value in attributes]
        if name not in VOID:
            self._open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self._open.pop() == name

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data


def html_of(made: Decision, **doubtful: Any) -> str:
    return to_html(Page(plan_id(made.plan, MADE_AT), MADE_AT, made, doubtful)).decode()


def test_nothing_in_it_is_code() -> None:
    """Names of rules, lists and partitions are text, whatever they are; there is no script."""
    names = {"rule": HOSTILE, "held_by": (HOSTILE,), "modalities": (HOSTILE,), "dates": {HOSTILE: MADE_AT.date()}}
    of = plan(
        [item(1, **names), item(2, **{**names, "held_by": ()})],
        hashes={HOSTILE: "00"},
        unmatched_holds=(HOSTILE,),
        unmatched_dates=(HOSTILE,),
        listed={HOSTILE: 1, "undated": 1},
        months={"2026-03": {HOSTILE: 1}},
    )
    html = html_of(decision(of), undated=[doubtful_row(3, Doubt("undated", HOSTILE, (HOSTILE,)))])
    seen = Seen(html)
    assert not {"script", "b", "link", "img", "iframe", "object"} & set(seen.tags)
    assert not [one for one in seen.attributes if one.startswith("on") or "javascript:" in one or "//" in one]
    assert "url(" not in html
    assert "@import" not in html
    assert seen.text.count(HOSTILE) >= 11


def test_the_figures_add_up() -> None:
    """Each study is in one group of the page, of the summary, of the plan's first line and of a preview."""
    listed = {"undated": 3, "unclear": 1}  # one of the three has both reasons
    items = [item(1), item(2), item(3, held_by=("a", "b"))]
    made = decision(plan(items, studies=11, in_doubt=3, listed=listed))
    groups = {"to_delete": 2, "held": 1, "in_doubt": 3, "kept": 5}
    head, _ = read_lines(jsonl(made.plan))
    for told in (made.plan.groups, summary(made, "one", MADE_AT), head):
        assert {name: told[name] for name in groups} == groups
    figures = dict(re.findall("<dt>([^<]*)</dt><dd>([^<]*)</dd>", html_of(made)))
    shown = [int(figures[name]) for name in GROUPS.values()]
    assert (shown, sum(shown), figures["Studies in all"]) == ([2, 1, 3, 5], 11, "11")
    preview = re.findall(r"^(\w[\w ]*): (\d+)", "\n".join(lines_of(made, "Europe/Paris", ())), re.MULTILINE)
    assert preview == [(name, figures[name]) for name in GROUPS.values()]


def test_a_preview_breaks_its_groups_down() -> None:
    """Rules, hold lists and reasons stand below their group; a study may count for several of them."""
    items = [item(1, rule="CTs", modalities=("CT",)), item(2, held_by=("a", "b"))]
    made = decision(plan(items, studies=11, in_doubt=3, listed={"undated": 3, "unclear": 1}))
    lines = list(lines_of(made, "Europe/Paris", ["MGs"]))
    assert lines[1:11] == [
        "Due for deletion: 1, 9.1% of all. Of these, by rule and modality:",
        "          1  CTs, CT",
        "Kept by a hold list: 1. Of these, by list (a study can be on several):",
        "          1  a",
        "          1  b",
        "Kept because something is unknown: 3. Of these, by reason (a study can have several):",
        "          3  A date that a rule counts from is not known",
        "          1  A list of dates is unclear about the patient",
        "Kept by the policy: 6.",
        "Rule MGs matches no study.",
    ]


@pytest.mark.parametrize("held", [0, 1])
def test_due_means_not_held(held: int) -> None:
    """The page counts as due only studies that no hold list holds."""
    made = decision(plan([item(1), item(2, held_by=("a",) * held)]), mode=PurgeMode.REPORT)
    text = Seen(html_of(made)).text
    assert f"Due: {2 - held} stud" in text


@pytest.mark.parametrize(
    ("before_delete", "words"), [("none", "NONE. Nothing is copied"), ("vault", "Every instance is copied")]
)
def test_what_is_done_before_a_deletion_is_at_its_head(before_delete: str, words: str) -> None:
    """It stands before what goes tonight."""
    text = Seen(html_of(decision(plan(1, before_delete=before_delete)))).text
    assert 0 < text.index(words) < text.index("To be deleted tonight")


@pytest.mark.parametrize(
    ("made", "headline"),
    [
        (decision(plan(1)), "To be deleted tonight: 1 study."),
        (decision(plan(12)), "To be deleted tonight: 12 studies."),
        (decision(plan(12), PurgeMode.REPORT), "Nothing is deleted tonight. Due: 12 studies."),
        (decision(plan(12), PurgeMode.APPROVE), "Nothing is deleted tonight. Due: 12 studies."),
        (decision(plan(12), obstacles=["stopped"]), "Nothing is deleted tonight. Due: 12 studies."),
        (decision(plan(0)), "Nothing is due: nothing is deleted tonight."),
    ],
)
def test_the_headline(made: Decision, headline: str) -> None:
    """What happens tonight is said in one sentence."""
    assert headline in Seen(html_of(made)).text


def test_why_not_and_how_to_go_on() -> None:
    """Each thing that keeps studies is said with its code, and what can be done."""
    text = Seen(html_of(decision(plan(30), obstacles=["hold_vanished"]))).text
    for words in ("A line of a hold list is gone", "hold_vanished", "Put it back", "over_max_share", "raise max_share"):
        assert words in text


def test_what_is_shown_before_an_approval() -> None:
    """Whoever is to approve sees the studies, the hash and the count."""
    of = plan([item(1), item(2, held_by=("litigation",))])
    text = Seen(html_of(decision(of, PurgeMode.APPROVE))).text
    assert item(1).key.uid in text
    assert of.hash in text
    assert re.search(r"typed: [0-9a-f]{64}, 1\.", text)


def test_who_approved_what_goes() -> None:
    """The page says by whose approval, of which plan, studies go; it does not ask for one where none is needed."""
    of = plan(3)
    approval = Approval("20260304T030000Z-0f1e2d3c", "00" * 32, 2, f"Dr. {HOSTILE}", MADE_AT)
    approved = Approved(approval, of.policy_hash, "vault", frozenset(one.version for one in of.items[:2]))
    text = Seen(html_of(decision(of, PurgeMode.APPROVE, approved=[approved]))).text
    assert "To be deleted tonight: 2 studies." in text
    words = f"Approved: 2 studies, by Dr. {HOSTILE}, on 2026-03-05 03:00 UTC, in plan 20260304T030000Z-0f1e2d3c."
    assert words in text
    assert "To approve this plan" not in Seen(html_of(decision(of))).text


def test_a_plan_of_very_many_studies() -> None:
    """The page shows the first of them, and says how many there are and where the others are."""
    of = plan(2500, studies=10**6)
    html = html_of(decision(of, memory=memory(known=of.items), mode=PurgeMode.REPORT))
    assert html.count("<tr>") < 600
    assert "500 of 2,500 are shown here" in Seen(html).text
    assert f"{plan_id(of, MADE_AT)}.csv" in html


def test_the_chart_shows_the_common_ones_and_the_rest_as_one() -> None:
    """No study gets lost between the ledger's counts and the chart."""
    months = {"earlier": {"CT": 7}, "2026-03": {f"M{number}": number + 1 for number in range(12)}, "2027-02": {"": 2}}
    series = chart.series_of(plan(0, months=months))
    assert (series.months[0], series.months[-1], len(series.months)) == ("2026-03", "2027-02", 12)
    assert (series.modalities[0], series.modalities[-1], len(series.modalities)) == ("M11", "others", 8)
    assert [series.total(month) for month in ("earlier", "2026-03", "2026-04", "2027-02")] == [7, 78, 0, 2]


@pytest.mark.parametrize("most", [0, 1, 4, 5, 9, 99, 1234, 10**6 + 1])
def test_the_bars_stay_in_the_picture(most: int) -> None:
    """The highest one reaches neither over the top nor below the scale's first quarter."""
    picture = chart.picture(chart.series_of(plan(0, months={"2026-03": {"CT": most}})))
    bars = [(float(bar.get("y", "")), float(bar.get("height", ""))) for bar in picture.iter("rect")]
    assert len(bars) == (1 if most else 0)
    assert all(top >= 24 and top + height == pytest.approx(286, abs=0.2) for top, height in bars)
    assert f"2026-03: {most:,}" in "".join(picture.itertext())


def test_a_year_end() -> None:
    """Twelve months from December on lie in two years."""
    of: Plan = plan(0, day=MADE_AT.date().replace(month=12))
    assert chart.series_of(of).months[:3] == ("2026-12", "2027-01", "2027-02")


def test_texts_and_elements_in_their_order() -> None:
    """What is written one after the other is read so."""
    assert "".join(tag("p", "a", tag("b", "b"), "c", "d", tag("i", "e"), "f").itertext()) == "abcdef"
