"""What is asked over HTTP: did a file arrive? replay what is in quarantine."""
