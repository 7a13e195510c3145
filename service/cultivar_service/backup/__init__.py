"""Copies of everything that can't be made again, taken beside the running service, and the way back."""
