"""The Open Inference Protocol v2: what its clients ask, answered by the same versions, queue and errors as Predict."""
