"""Traces, metrics and the log's lines, by OpenTelemetry: written down where work is done, sent by another thread."""
