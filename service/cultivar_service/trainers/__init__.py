"""Trainer processes: started, found again, stopped; and single tasks that somebody waits for."""
