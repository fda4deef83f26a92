"""One file: an instance, or why it is none."""
