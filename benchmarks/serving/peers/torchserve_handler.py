"""TorchServe's handler, with its batching, over gRPC."""

from typing import Any

from benchmarks.serving.peers.classifier import Classifier


class Bench:
    """Classifies JPEGs."""

    def initialize(self, context: Any) -> None:
        """Load the model, in the worker process."""
        self.classifier = Classifier()

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[dict[str, Any]]:
        """Classify a batch."""
        return self.classifier.run([self.classifier.prepare(bytes(one["data"])) for one in data])
