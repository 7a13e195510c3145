"""The gRPC service: queues training, follows trainers, publishes models, answers predictions. Never imports torch."""
