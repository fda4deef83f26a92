"""Retrieve: negotiate, find, send from disk."""
