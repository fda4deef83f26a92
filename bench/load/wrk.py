"""Load by wrk, a process of its own: requests again and again over connections that stay open."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_UNITS_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Load:
    """What came of it.

    Args:
        rate: answers a second.
        p50_ms: the median of the times that they took.
    """

    rate: float
    p50_ms: float


def load(program: str, url: str, headers: Mapping[str, str], at_once: int, seconds: int) -> Load:
    """Ask for the same again and again.

    Args:
        program: wrk.
        url: what is asked for.
        headers: of each request.
        at_once: over how many connections.
        seconds: how long; wrk knows whole ones only.

    Raises:
        RuntimeError: an answer had another status than 2xx or 3xx, or none came.
    """
    options = [option for name, value in headers.items() for option in ("-H", f"{name}: {value}")]
    command = [program, "-t1", f"-c{at_once}", f"-d{seconds}s", "--latency", *options, url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec: +([0-9.]+)", told)
    p50 = re.search(r"50% +([0-9.]+)(us|ms|s)", told)
    if not rate or not p50 or "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"not every request was answered: {told}")
    return Load(float(rate[1]), float(p50[1]) * _UNITS_MS[p50[2]])
