"""KServe's Python server with a custom predictor, over gRPC."""

from typing import Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid

from benchmarks.serving.peers.classifier import LIKE_FOR_LIKE, MODEL, PORT, Classifier


class Bench(Model):
    """Classifies JPEGs (BYTES), or pixels (UINT8)."""

    def __init__(self) -> None:
        super().__init__(MODEL)
        self.classifier = Classifier()
        self.ready = True

    async def predict(
        self, payload: InferRequest, headers: dict[str, str] | None = None, response_headers: Any = None
    ) -> InferResponse:
        """Classify a request's images."""
        sent = payload.inputs[0]
        values = sent.as_numpy()
        inputs = values if sent.datatype == "UINT8" else [self.classifier.prepare(one) for one in values]
        answers = self.classifier.run(inputs)
        classes = InferOutput("classes", [len(answers), 5], "INT64")
        classes.set_data_from_numpy(np.array([one["classes"] for one in answers], np.int64))
        probabilities = InferOutput("probabilities", [len(answers), 5], "FP32")
        probabilities.set_data_from_numpy(np.array([one["probabilities"] for one in answers], np.float32))
        return InferResponse(generate_uuid(), self.name, [classes, probabilities])


if __name__ == "__main__":
    ModelServer(
        http_port=PORT + 1, grpc_port=PORT, workers=1, enable_grpc=True, enable_latency_logging=not LIKE_FOR_LIKE
    ).start([Bench()])
