"""One file per task, one life for all: request in, events out, a result at the end."""
