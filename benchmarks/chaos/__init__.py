"""Kills the service and its trainers, again and again, and proves that nobody who asked for something notices."""
