"""Store: receive, decide, answer."""
