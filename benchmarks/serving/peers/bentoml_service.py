"""BentoML with adaptive batching."""

from pathlib import Path
from typing import Any

import bentoml
import numpy as np
from PIL import Image

from benchmarks.serving.peers import by_hand
from benchmarks.serving.peers.classifier import LIKE_FOR_LIKE, MAX_BATCH, Classifier

if LIKE_FOR_LIKE:

    @bentoml.service(workers=1)
    class Bench:
        """Classifies uploaded files."""

        def __init__(self) -> None:
            self.classifier = Classifier()

        @bentoml.api(batchable=True, max_batch_size=MAX_BATCH)
        def predict(self, image: list[Path]) -> list[dict[str, Any]]:
            """Classify a batch."""
            return self.classifier.run([self.classifier.prepare(one.read_bytes()) for one in image])

else:

    @bentoml.service(workers=1)
    class Bench:  # type: ignore[no-redef]
        """Classifies uploaded images."""

        def __init__(self) -> None:
            self.classifier = Classifier()

        @bentoml.api(batchable=True, max_batch_size=MAX_BATCH)
        def predict(self, image: list[Image.Image]) -> list[dict[str, Any]]:
            """Classify a batch."""
            return self.classifier.run(np.stack([by_hand.normalise(one) for one in image]))
