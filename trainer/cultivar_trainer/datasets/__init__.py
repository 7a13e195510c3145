"""Data sets that the trainer makes or reads."""
