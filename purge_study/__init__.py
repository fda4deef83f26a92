"""Retention: a plan that people can read, an executor that would rather stop, and a way back."""

from shared.packages import need_packages

need_packages()
