"""What is stored: rows and files."""
