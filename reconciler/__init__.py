"""reconciler keeps Linux hosts as a git repository says they should be."""

__version__ = "0.1.0"
