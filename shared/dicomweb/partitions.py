"""Data partitions of the Azure service: each holds studies of its own, under the same UIDs if need be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .answers import fields_of, items_of, time_of
from .errors import InvalidParameter

DEFAULT_PARTITION = "Microsoft.Default"  # also what a service without partitions says in its change feed
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Partition:
    """One partition; `DEFAULT_PARTITION` is there from the start."""

    key: int
    name: str
    created: datetime


def partition_path(name: str) -> str:
    """Return what stands before the path of whatever is in a partition.

    Raises:
        InvalidParameter: the name has other characters than letters, digits, `_`, `.` and `-`, or more than 64.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not name.strip("."):
        raise InvalidParameter("a partition's name has up to 64 letters, digits, _, . and -")
    return f"/partitions/{name}"


def partitions_of(decoded: Any) -> list[Partition]:
    """Read the list of them."""
    return [_partition(item) for item in items_of(decoded)]


def _partition(item: Any) -> Partition:
    fields = fields_of(item)
    return Partition(int(fields["partitionkey"]), str(fields["partitionname"]), time_of(fields["createddate"]))
