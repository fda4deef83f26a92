"""The blob itself: reading one version of it, and dealing with it after its verdict."""
