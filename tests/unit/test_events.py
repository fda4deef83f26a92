"""The one way into the log."""

from __future__ import annotations

import json
import linecache
import logging

import pydicom
import pytest

from shared.dicomweb import InvalidParameter, NotFound, Query, RequestNotSent
from shared.dicomweb.errors import status_error
from shared.events import Failed, describe, event, place, silence_libraries
from shared.settings import ConfigurationError
from store_on_upload.setback import NotYet

SECRET = "CANARY"


def test_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    """An event is one line of JSON with its name and the fields that have a value."""
    with caplog.at_level(logging.INFO, "dicom_dropbox"):
        event("lookup", level=logging.WARNING, status=200, reason=None, transaction="a\nb")
    [record] = caplog.records
    assert "\n" not in record.getMessage()
    assert json.loads(record.getMessage()) == {"event": "lookup", "status": 200, "transaction": "a\nb"}
    assert (record.levelname, record.name) == ("WARNING", "dicom_dropbox")


@pytest.mark.parametrize("field", ["patient_name", "blob", "uid", "url", "query", "Status", "message"])
def test_unknown_fields(field: str, caplog: pytest.LogCaptureFixture) -> None:
    """A field that is not in the list is refused, and nothing is written; the value is not told."""
    with caplog.at_level(0), pytest.raises(ValueError, match=f"not to be logged: {field}$"):
        event("lookup", **{field: SECRET})  # type: ignore[arg-type]  # `level` is not among them
    assert not caplog.records


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotYet("service_failed", 272), "NotYet: no verdict yet: service_failed, service code 272"),
        (Failed("later"), "Failed: later"),
        (InvalidParameter("limit must be between 1 and 200"), "InvalidParameter: limit must be between 1 and 200"),
        (ConfigurationError(["A: wrong"]), "ConfigurationError: the app's settings need attention: A: wrong"),
        (RequestNotSent("token: none was obtained"), "RequestNotSent: token: none was obtained"),
        (
            status_error("delete study", 404),
            "NotFound: delete study: the service answered 404: there is none under these UIDs, or no such service at "
            "the base URL",
        ),
        (ValueError(SECRET), "ValueError"),
        (KeyError(SECRET), "KeyError"),
        (OSError(2, SECRET, SECRET), "FileNotFoundError"),
        (ExceptionGroup(SECRET, [NotFound("x", 404)]), "ExceptionGroup"),
        (UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET), "UnicodeDecodeError"),
    ],
)
def test_describe(error: BaseException, said: str) -> None:
    """Our own errors are told in full, since their texts are ours; of foreign ones only the class."""
    assert describe(error) == said


def test_libraries_are_silent(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that log addresses, names of blobs or values are held back, and the web server's access log is off."""
    for name in ("uvicorn.access", "uvicorn.error"):
        monkeypatch.setattr(logging.getLogger(name), "filters", [])
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.WARN)
    silence_libraries()
    with caplog.at_level(0):
        for name in ("httpx", "httpcore.http11", "azure.core.pipeline", "pydicom"):
            logging.getLogger(name).info(SECRET)
        logging.getLogger("uvicorn.access").critical(SECRET)
        logging.getLogger("uvicorn.error").error("failed", exc_info=ValueError(SECRET))
    assert SECRET not in caplog.text


def test_where_an_error_came_up() -> None:
    """The line is told without a look at the sources, which would stay in memory, a file more with each new error."""
    linecache.clearcache()
    with pytest.raises(InvalidParameter) as raised:
        Query(limit=-1)
    at = place(raised.value)
    assert at is not None
    assert at.startswith("shared/dicomweb/")
    assert not linecache.cache
