"""Partitions: their routes and their list, their rows."""
