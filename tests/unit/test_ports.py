"""Ports for servers of tests, of processes that look for them at the same time."""

from __future__ import annotations

import os

import pytest

from local.ports import free_ports


def test_processes_side_by_side_are_given_different_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a process that was forked from another: of two servers on one port, one would not start."""
    first, process = free_ports(3), os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    assert abs(free_ports(3) - first) > 1000
