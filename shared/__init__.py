"""What all three functions use."""
