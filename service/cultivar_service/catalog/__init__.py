"""Durable records: data sets, jobs, events, models, versions and aliases, in SQLite."""
