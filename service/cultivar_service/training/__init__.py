"""Training jobs: queued, started, followed, retried, ended."""
