"""What is measured beside ours: other people's programs and libraries, with a Python of their own."""
