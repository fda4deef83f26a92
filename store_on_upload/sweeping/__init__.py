"""The door behind all others: what was missed is found by a listing."""
