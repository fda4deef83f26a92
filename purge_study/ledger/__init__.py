"""What is known of each study, and when it falls due."""
