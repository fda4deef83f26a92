"""Storing one file, and what the service's answer comes to: duplicates, conflicts, replacement, remains."""
