"""Become another program that the kernel ends when our parent dies: `python leash.py PARENT COMMAND...`.

A parent that is killed outright cannot end its children. On Linux the kernel can: the wish is stated here,
between fork and exec, because Python code run in a forked child of a threaded parent may deadlock.
The kernel watches the thread that started us, not the process: it has to be one that lives as long as the
parent does. Elsewhere this only runs the command.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def main(parent: int, command: list[str]) -> None:
    """Ask for SIGTERM at the parent's death, then run `command` in place of this process."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the wish was stated
            sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - running another program is what this is for
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
