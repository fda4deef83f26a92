"""QIDO-RS: the caller's search as searches of the service, adapted where it does not take it (PS3.18 §10.6)."""
