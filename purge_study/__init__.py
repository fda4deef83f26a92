"""Retention: a timer reports the studies that are past their time."""
