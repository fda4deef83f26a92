"""What is written down of deletions and restores, for whoever comes later."""
