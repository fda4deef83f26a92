"""What is sent where a file cannot go as it is: a head put in front, or explicit VR in place of implicit."""
