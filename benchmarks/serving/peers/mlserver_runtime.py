"""MLServer with a custom runtime and its adaptive batching, over gRPC."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.peers.classifier import Classifier


class Bench(MLModel):
    """Classifies JPEGs (BYTES), or pixels (UINT8)."""

    async def load(self) -> bool:
        """Load the model, in the worker process."""
        self.classifier = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Classify a batch that may hold many requests."""
        sent = payload.inputs[0]
        if sent.datatype == "UINT8":
            answers = self.classifier.run(NumpyCodec.decode_input(sent))
        else:
            answers = self.classifier.run([self.classifier.prepare(one) for one in sent.data])
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("classes", np.array([one["classes"] for one in answers], np.int64)),
                NumpyCodec.encode_output(
                    "probabilities", np.array([one["probabilities"] for one in answers], np.float32)
                ),
            ],
        )
