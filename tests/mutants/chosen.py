"""A plugin of pytest: runs the tests alone whose node ids stand in a file, those first that mutants died of before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHOSEN, DEADLY = "MUTANT_TESTS", "MUTANT_DEATHS"  # names of files


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = {test: number for number, test in enumerate(Path(os.environ[CHOSEN]).read_text().splitlines())}
    files = {test.partition("::")[0]: number for test, number in reversed(chosen.items())}
    deadly = set(Path(os.environ[DEADLY]).read_text().splitlines())
    left = [item for item in items if item.nodeid not in chosen]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item.nodeid in chosen]
    items.sort(key=lambda item: (item.nodeid not in deadly, files[item.nodeid.partition("::")[0]]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        with Path(os.environ[DEADLY]).open("a") as deaths:
            deaths.write(f"{report.nodeid}\n")
