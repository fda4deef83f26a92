"""A stand-in for `func start`: runs a Python v2-model function app on one machine."""
