"""Frames that are decoded: drawn, or in another transfer syntax."""
