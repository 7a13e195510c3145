"""LitServe with dynamic batching."""

from typing import Any

import litserve
from fastapi import Request

from benchmarks.serving.peers.classifier import MAX_BATCH, MAX_WAIT_S, PORT, Classifier


class Bench(litserve.LitAPI):
    """Classifies an uploaded file."""

    def setup(self, device: str) -> None:
        """Load the model, in the worker process."""
        self.classifier = Classifier()

    def decode_request(self, request: Request) -> Any:
        """Return the image as the graph takes it."""
        return self.classifier.prepare(request["image"].file.read())

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Leave stacking to the session's call."""
        return inputs

    def predict(self, x: Any) -> list[dict[str, Any]]:
        """Classify a batch."""
        return self.classifier.run(x)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return an answer per image."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Return what becomes JSON."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Bench(max_batch_size=MAX_BATCH, batch_timeout=MAX_WAIT_S), accelerator="cpu", workers_per_device=1
    )
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False, num_api_servers=1)
