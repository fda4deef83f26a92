"""What would retention do? An operator's command, which deletes nothing."""
