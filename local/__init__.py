"""Stand-ins that let one machine play Azure: never deployed, imported by nothing but tests and bench."""

from shared.packages import need_packages

need_packages("jwt", "rich", "starlette")
