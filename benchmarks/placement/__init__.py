"""Placing jobs on simulated GPUs that others use as well."""
