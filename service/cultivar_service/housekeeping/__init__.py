"""Keeps the data directory in order: free space, old files, and what records and folders say of each other."""
