"""The memory of a process, as Linux has it."""

from __future__ import annotations

import re
from pathlib import Path

MIB = 1024 * 1024


def reset_peak_bytes(process: int | str = "self") -> int:
    """Have the kernel forget a process's peak so far (proc(5), clear_refs); return what is in use."""
    Path(f"/proc/{process}/clear_refs").write_text("5")
    return status_bytes("VmRSS", process)


def status_bytes(name: str, process: int | str = "self") -> int:
    """Return a figure of a process, such as VmRSS or VmHWM (proc(5), status)."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) * 1024
