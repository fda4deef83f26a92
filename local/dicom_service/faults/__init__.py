"""Faults on request, and counts; neither is part of the API."""
