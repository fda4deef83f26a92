"""What has no verdict yet: when it is tried again, and what holds all files back."""
