"""A study's deletion, step by step, and its way back."""
