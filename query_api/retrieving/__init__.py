"""WADO-RS: the caller's retrieval as one that the service takes, streamed through (PS3.18 §10.4)."""
