"""What is to go tonight, for people to read, and what keeps it from going."""
