"""The policy of the measurements: all that is stored for them is due, and no brake keeps it."""

from __future__ import annotations

from typing import Final

ALL_IS_DUE: Final = """
[policy]
time_zone = "UTC"

[[rule]]
name = "all"
keep_years = 1
from = ["study_date"]

[brakes]
min_age_days = 0
max_share = 1.0
"""
