"""FastAPI with ONNX Runtime by hand."""

from typing import Annotated, Any

from fastapi import FastAPI, File, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from benchmarks.serving.peers.classifier import LIKE_FOR_LIKE, Classifier

app = FastAPI()
classifier = Classifier()

if LIKE_FOR_LIKE:

    @app.post("/predict")
    async def predict_body(request: Request) -> JSONResponse:
        """Classify the body."""
        return JSONResponse(await run_in_threadpool(classifier.classify, await request.body()))

else:

    @app.post("/predict")
    def predict_file(image: Annotated[bytes, File()]) -> dict[str, Any]:
        """Classify an uploaded file."""
        return classifier.classify(image)
