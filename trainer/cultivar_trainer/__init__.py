"""Executes one task per process: imports data sets, trains, exports, describes. Knows neither gRPC nor the service."""
