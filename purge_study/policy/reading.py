"""From the file to the policy, or to all that is wrong with it."""

from __future__ import annotations

from typing import Any

from .model import Policy


class PolicyError(Exception):
    """The policy is no good: each mistake with its place, such as `rule 2, keep_years: …`; never a value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the retention policy needs attention: " + "; ".join(problems))
        self.problems = problems


def read_policy(content: bytes) -> Policy:
    """Read a policy.

    Args:
        content: TOML in UTF-8, with a byte order mark or without.

    Raises:
        PolicyError: something in it is wrong: all that is.
    """
    raise NotImplementedError


def schema() -> dict[str, Any]:
    """Return the JSON schema of the file, for editors."""
    raise NotImplementedError
