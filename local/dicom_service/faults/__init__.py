"""Faults on request, counts, and the clock to set; none is part of the API."""
