"""What became of each version of a blob, and where that is kept."""
