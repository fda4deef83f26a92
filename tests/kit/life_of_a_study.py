"""A study's whole life with retention on a running stack: deleted by leave, kept out, put back."""

from __future__ import annotations

import json
from typing import Any

import httpx

from local.stack import Stack
from tests.conftest import APPROVAL_KEY
from tests.e2e.test_nights import FIRST_DUE, STORED
from tests.kit.drop_box import Instance, make_instance, wait_for
from tests.kit.nights import Night, Nights

POLICY = """
[policy]
time_zone = "Europe/Paris"

[[rule]]
name = "all"
keep_years = 8
from = ["study_date"]

[brakes]
min_age_days = 0
max_share = 1.0
"""


class LifeOfAStudy:
    """A stack with a study that is long due.

    Args:
        stack: that runs, in the mode `approve`.
    """

    def __init__(self, stack: Stack) -> None:
        self.nights = Nights(stack)
        self.nights.store_on(STORED)
        self.nights.write("policy.toml", POLICY)
        self.study: Instance = self.nights.store(StudyDate="20200102")
        self.nights.set_time(FIRST_DUE)

    @property
    def is_there(self) -> bool:
        """Whether the service has it."""
        return self.study.study in self.nights.studies()

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Ask retention for something that needs both keys."""
        stack = self.nights.stack
        headers = {"x-functions-key": stack.function_key, "x-approval-key": APPROVAL_KEY}
        url = f"{stack.app_url}/retention/{path}"
        return httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)

    def approve(self, night: Night) -> None:
        """Approve a night's plan, once."""
        plan = night.event["plan"]
        summary = json.loads(self.nights.records(f"plans/{plan}.json"))
        body = {"approver": "Dr. A", "hash": summary["hash"], "count": summary["to_delete"]}
        assert [self.post(f"plans/{plan}/approve", body).status_code for _ in range(2)] == [200, 409]

    def delete(self) -> None:
        """Have the study deleted by a night whose plan is approved."""
        self.approve(self.nights.night())
        night = self.nights.night()
        assert (night.told, night.event["deleted"]) == ((("study_purged", "deleted"),), 1), night
        assert not self.is_there

    def restore(self) -> None:
        """Have it put back."""
        response = self.post(f"vault/{self.study.study}/restore", {"requested_by": "A. Reader"})
        assert (response.status_code, response.json()["sent"]) == (202, 1)
        wait_for(lambda: True if self.is_there else None, "it does not come back")

    def is_kept_out(self) -> bool:
        """Say whether an instance of the study that somebody drops is refused, and have it dropped."""
        name = f"late/{self.nights.now():%f}.dcm"
        late = make_instance(StudyInstanceUID=self.study.study, StudyDate="20200102")
        return bool(self.nights.box.settle(name, late.content)["reason"] == "purged")
