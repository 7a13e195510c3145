"""Loaded model versions: verified at load, swapped without a dropped request, run with ONNX Runtime."""
