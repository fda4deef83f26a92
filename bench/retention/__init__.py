"""Nights of retention, as the bench measures them."""
