"""Everything at once on the local stack, for an hour, and whether anything of the app grows meanwhile."""
