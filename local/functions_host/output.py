"""The host's own lines on standard output.

They never hold a blob name, URL, query, key or exception text: any of these may carry patient data.
"""

import logging
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

# One process-wide choice: these libraries print full URLs at INFO.
QUIET_LOGGERS = ("azure", "azure.functions", "httpx", "httpcore")
_FRAME = re.compile(r'^\s*File "([^"\n]+)", line (\d+)', re.MULTILINE)
_CLASS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def say(*fields: object) -> None:
    """Print one line, its fields set apart by two blanks."""
    print("  ".join(str(field) for field in fields), flush=True)


def set_up_logging() -> None:
    """Let what the app logs at INFO and above pass to standard output unchanged."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # aiohttp's server logs whole request lines when a request cannot be parsed.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def where_raised(error: BaseException, app: Path) -> str:
    """Name an exception's class and the app's own line it came from, and nothing of its text."""
    # Not `extract_tb`: that reads the sources of all frames, and keeps them in memory.
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return _class_and_place(type(error).__name__, frames, app)


def where_reported(message: str, stack_trace: str, app: Path) -> str:
    """Do what `where_raised` does for an exception that a worker handed over as text."""
    class_name = message.partition(":")[0]
    if not _CLASS_NAME.fullmatch(class_name):
        class_name = "Exception"
    frames = [(path, int(line)) for path, line in _FRAME.findall(stack_trace)]
    return _class_and_place(class_name, frames, app)


def _class_and_place(class_name: str, frames: Sequence[tuple[str, int]], app: Path) -> str:
    own = [(path, line) for path, line in frames if _is_own(Path(path), app)]
    if not own:
        return class_name
    path, line = own[-1]
    return f"{class_name} {Path(path).relative_to(app)}:{line}"


def _is_own(path: Path, app: Path) -> bool:
    # A text that merely looks like a frame must not get printed, hence the look at the disk.
    return path.is_relative_to(app) and "site-packages" not in path.parts and path.is_file()
