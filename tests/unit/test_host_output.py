"""What the local functions host says of an exception."""

from __future__ import annotations

import linecache
from pathlib import Path

import pytest

from local.functions_host.output import where_raised


def test_where_an_error_came_up() -> None:
    """The line is told without a look at the sources, which would stay in memory, a file more with each new error."""
    linecache.clearcache()
    with pytest.raises(ValueError, match="secret") as raised:
        raise ValueError("secret")
    here = Path(__file__)
    assert where_raised(raised.value, here.parent) == f"ValueError {here.name}:{raised.tb.tb_lineno}"
    assert not linecache.cache
