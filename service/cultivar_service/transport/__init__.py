"""The wire: adapts the api objects to gRPC and maps their errors, in one place."""
