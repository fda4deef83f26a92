"""What tests of other people's clients share: each method is tested, or docs/clients.md says why it cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.kit.documents import rows


def what_it_cannot_do(client: str) -> set[str]:
    """Return the methods that the documentation gives a reason for."""
    return set(rows("docs/clients.md", f"What {client}'s dicomweb-client cannot do"))


def tested(module: dict[str, Any]) -> set[str]:
    """Return the methods that the tests of a module are named after: `test_this_and_that`."""
    tests = (name.removeprefix("test_") for name in module if name.startswith("test_"))
    return {_plain(method) for test in tests for method in test.split("_and_")}


def check_all_are_tested(methods: Iterable[str], module: dict[str, Any], client: str) -> None:
    """Fail if a method is neither tested nor in the table, is both, or is in the table and none."""
    methods, without = set(methods), what_it_cannot_do(client)
    assert without <= methods
    assert {_plain(method) for method in methods - without} <= tested(module)
    assert not {_plain(method) for method in without} & tested(module)


def _plain(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def picture(content: bytes, kind: str) -> npt.NDArray[np.float64]:
    """Return the pixels of a picture that is of this kind, `JPEG` or `PNG`."""
    with Image.open(BytesIO(content)) as image:
        assert image.format == kind
        return np.asarray(image).astype(float)
