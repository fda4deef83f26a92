"""Measurements, run by hand."""

from shared.packages import need_packages

need_packages()
