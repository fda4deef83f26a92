"""The record of who saw what."""
