"""Retention: a plan that people can read, an executor that would rather stop, and a way back."""
