"""What the policy says of a study: pure functions."""
