"""What the app says about itself: one JSON line per event, free of patient data by construction.

Only the fields of `FIELDS` can be logged. None of them may ever hold an attribute's value, a UID, a blob's name, a
query string, or the text of an exception that is not ours.
"""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path
from typing import Final

import pydicom

from shared.dicomweb import DICOMwebError, InvalidParameter
from shared.problems import Refused
from shared.settings import ConfigurationError
from shared.telemetry.recording import write_event

FIELDS: Final = frozenset(
    {
        "adaptations",  # codes of `query_api`
        "at",  # from `place`
        "attempts",
        "attributes",  # tags, never values
        "awaiting_approval",
        "bytes",
        "complete",
        "datasets",
        "dead_letters",
        "deleted",
        "deletion",  # its id: a time, and digits drawn at random
        "door",
        "due",
        "error",  # from `describe`
        "examined",
        "held",
        "in_doubt",
        "kept",
        "messages",
        "mode",
        "oldest_pending_seconds",
        "plan",  # its id
        "queued",
        "reason",
        "request_id",
        "resource",
        "seconds",
        "seen",
        "service_code",
        "source",  # a name of sources.toml
        "status",
        "transaction",
        "verdict",
    }
)

_ROOT = Path(__file__).resolve().parent.parent
_log = logging.getLogger("dicom_dropbox")


class Failed(Exception):
    """A trigger failed and the host shall try again; the text is ours, without anything of a patient's in it."""


_OURS = (ConfigurationError, DICOMwebError, Failed, InvalidParameter, Refused)


def event(name: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Write one event as a line of JSON; fields that are None are left out.

    Raises:
        ValueError: a field is not in the list.
    """
    if unknown := fields.keys() - FIELDS:
        raise ValueError(f"not to be logged: {', '.join(sorted(unknown))}")
    said = {key: value for key, value in fields.items() if value is not None}
    line = json.dumps({"event": name} | said)
    _log.log(level, line)
    write_event(name, level, line, said)


def describe(error: BaseException) -> str:
    """Say what went wrong in words that may be logged: of a foreign exception only its class."""
    kind = type(error).__name__
    return f"{kind}: {error}" if isinstance(error, _OURS) else kind


def place(error: BaseException) -> str | None:
    """Say where in the app's own code an exception came up, as `folder/file.py:line`."""
    # Not `extract_tb`: that reads the sources of all frames, and keeps them in memory.
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_ROOT) and not path.relative_to(_ROOT).parts[0].startswith("."):  # not what is installed
            return f"{path.relative_to(_ROOT).as_posix()}:{line}"
    return None


def failed(name: str, error: Exception) -> Failed:
    """Log that a trigger failed, and return the exception that tells the host to try again."""
    event(name, level=logging.ERROR, error=describe(error), at=place(error))
    return Failed(describe(error))


def _is_no_stack_trace(record: logging.LogRecord) -> bool:
    return record.exc_info is None


def silence_libraries() -> None:
    """Keep libraries from logging what they see: URLs, blob names, attribute values. Call it before they are used."""
    _log.setLevel(logging.INFO)
    for name in ("httpx", "httpcore", "pydicom"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # azure-identity puts the endpoint's answers into its warnings; what fails, our events tell.
    logging.getLogger("azure").setLevel(logging.ERROR)
    # uvicorn resets levels when the extension configures it, but keeps filters. Its lines would hold queries and
    # exception texts; our events say the same without them.
    logging.getLogger("uvicorn.access").addFilter(lambda record: False)
    logging.getLogger("uvicorn.error").addFilter(_is_no_stack_trace)
    # pydicom's warnings about invalid values quote them.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
