"""The queue of trainer processes: started, followed, stopped, re-attached."""
