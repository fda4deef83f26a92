"""Stand-ins that let one machine play Azure: never deployed, imported by nothing but tests and bench."""
