"""End the stack that runs in the data folder, and wait until it has: `python -m local.down`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

from local.pid_file import holder, is_released
from local.up import PID_FILE, data_folder

_LONGEST_SECONDS = 60.0


def main() -> int:
    """Return 0 when nothing runs any more."""
    folder = data_folder()
    found = holder(folder / PID_FILE)
    if found is None:
        print(f"Nothing runs in {folder}.")
        return 0
    pid, lock = found
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _LONGEST_SECONDS
    while not is_released(lock):
        if time.monotonic() > deadline:
            print(f"Process {pid} does not end.", file=sys.stderr)
            return 1
        time.sleep(0.05)
    print("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
