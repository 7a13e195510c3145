"""A small Cultivar service in the test's process: it answers from lists that tests fill."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
from google.protobuf import any_pb2, empty_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from cultivar.v1 import (
    architecture_pb2,
    artifact_pb2,
    artifact_pb2_grpc,
    dataset_pb2,
    dataset_pb2_grpc,
    evaluation_pb2,
    event_pb2,
    model_pb2,
    model_pb2_grpc,
    prediction_pb2,
    prediction_pb2_grpc,
    state_pb2,
    training_pb2,
    training_pb2_grpc,
)

VERSION = "models/flowers/versions/3"
REPORT = dataset_pb2.DatasetReport(
    splits=[
        {
            "split": dataset_pb2.SPLIT_TRAIN,
            "image_count": 1200,
            "class_counts": [1200],
            "mean": [0.5, 0.25, 0.125],
            "std": [0.25, 0.25, 0.25],
            "width": {"min": 64, "median": 96, "max": 128},
            "height": {"min": 64, "median": 80, "max": 90},
            "short_sides": {64: 1200},
        }
    ],
    imbalance=1,
    duplicates={"near_across": 2, "groups": [{"images": ["train/rose/1.jpg", "val/rose/[2].jpg"]}]},
    split_protocol="3-fold, fold 2, stratified, seed 0",
    classes=[{"id": "rose", "display_name": "Rose"}],
    rejected_files=[{"path": "rose/3.jpg", "reason": "the image has 0 bytes"}],
    rejected_count=1,
    warnings=["2 look alike"],
)


def refuse(context, code, message, reason, violations=()):
    """Ends a call with a rich status, as the service does."""
    details = [any_pb2.Any(), any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=reason, domain="cultivar", metadata={"limit": "4"}))
    fields = [error_details_pb2.BadRequest.FieldViolation(field=field, description=text) for field, text in violations]
    details[1].Pack(error_details_pb2.BadRequest(field_violations=fields))
    context.abort_with_status(rpc_status.to_status(status_pb2.Status(code=code, message=message, details=details)))


class FakeCultivar(
    training_pb2_grpc.TrainingServiceServicer,
    dataset_pb2_grpc.DatasetServiceServicer,
    model_pb2_grpc.ModelServiceServicer,
    artifact_pb2_grpc.ArtifactServiceServicer,
    prediction_pb2_grpc.PredictionServiceServicer,
):
    def __init__(self):
        self.address = ""
        self.metadata = {}
        self.requests = []
        self.unavailable_answers = 0
        self.job = training_pb2.TrainingJob(name="trainingJobs/1", state=state_pb2.TRAINING_JOB_STATE_SUCCEEDED)
        self.events = []
        self.break_after = None
        self.silent_after = None
        self.imports = []
        self.models = ["flowers"]
        self.model = model_pb2.Model(
            name="models/flowers",
            live_version=VERSION,
            rollback_version="models/flowers/versions/2",
            aliases=[{"alias": "canary", "model_version": VERSION}],
            live_history=[{"model_version": VERSION, "actor": "ada", "reason": "it is better"}],
        )
        self.files = {"model.onnx": b"onnx", "golden/0.jpg": b"jpeg"}
        self.wrong_digests = False
        self.evaluations = []

    def _note(self, request, context):
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        if self.unavailable_answers:
            self.unavailable_answers -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")

    def CreateTrainingJob(self, request, context):
        self._note(request, context)
        if request.spec.architecture == "resnet19":
            message = "the spec has 1 mistake"
            violations = [("spec.architecture", "resnet19 is unknown: choose resnet18")]
            refuse(context, code_pb2.INVALID_ARGUMENT, message, "INVALID_SPEC", violations)
        return self.job

    def GetTrainingJob(self, request, context):
        self._note(request, context)
        if request.name != self.job.name:
            refuse(context, code_pb2.NOT_FOUND, f"no job {request.name}", "JOB_NOT_FOUND")
        return self.job

    def ListTrainingJobs(self, request, context):
        self._note(request, context)
        page = int(request.page_token or 0)
        jobs = [training_pb2.TrainingJob(name=f"trainingJobs/{page * 2 + index}") for index in (0, 1)]
        return training_pb2.ListTrainingJobsResponse(
            training_jobs=jobs, next_page_token=str(page + 1) if page < 2 else ""
        )

    def PauseTrainingJob(self, request, context):
        self._note(request, context)
        return training_pb2.TrainingJob(name=request.name, state=state_pb2.TRAINING_JOB_STATE_PAUSING)

    def ResumeTrainingJob(self, request, context):
        self._note(request, context)
        return training_pb2.TrainingJob(name=request.name, state=state_pb2.TRAINING_JOB_STATE_QUEUED)

    def ExportTrainingJob(self, request, context):
        self._note(request, context)
        return training_pb2.TrainingJob(name=request.name, state=state_pb2.TRAINING_JOB_STATE_QUEUED)

    def DeleteTrainingJob(self, request, context):
        self._note(request, context)
        return empty_pb2.Empty()

    def WatchTrainingJob(self, request, context):
        self._note(request, context)
        for event in self.events[request.after_event :]:
            yield event
            if event.number == self.break_after:
                self.break_after = None
                context.abort(grpc.StatusCode.UNAVAILABLE, "going down")
            if event.number == self.silent_after:
                self.silent_after = None
                yield event_pb2.JobEvent(heartbeat=event_pb2.Heartbeat())
                gone = threading.Event()
                context.add_callback(gone.set)
                gone.wait(10)
                return

    def StreamTrainingLogs(self, request, context):
        self._note(request, context)
        yield training_pb2.LogChunk(attempt=1, offset=0, text="one\n", next_offset=4)
        yield training_pb2.LogChunk(attempt=1, offset=4, next_offset=4)
        if len(self.requests) == 1:
            yield training_pb2.LogChunk(attempt=2, offset=0, text="two\n", next_offset=4)
            context.abort(grpc.StatusCode.UNAVAILABLE, "going down")

    def DescribeArchitecture(self, request, context):
        self._note(request, context)
        return architecture_pb2.ArchitectureDescription(
            architecture={"name": request.name, "description": "a network"},
            parameters=1200,
            trainable_parameters=200,
            frozen_parameters=1000,
            blocks=[
                {"name": "layer1", "parameters": 1000, "last_blocks": 1, "trainable_parameters": 1200},
                {"name": "fc", "parameters": 200, "trainable_parameters": 200},
            ],
            memory={"batch_size": 16, "training_bytes": 2_500_000},
        )

    def ListGpus(self, request, context):
        self._note(request, context)
        return training_pb2.ListGpusResponse(
            gpus=[
                {
                    "name": "NVIDIA H200",
                    "total_bytes": 141 * 10**9,
                    "used_bytes": 12 * 10**9,
                    "reserved_bytes": 4 * 10**9,
                    "free_bytes": 125 * 10**9,
                    "processes": [
                        {"pid": 41, "used_bytes": 11 * 10**9, "owner": "trainingJobs/1"},
                        {"pid": 42},
                    ],
                    "max_processes": 5,
                }
            ],
            placement="GPU 0: 125.0 GB free",
            cores=16,
            cores_used=4,
            host_total_bytes=64 * 10**9,
            host_free_bytes=60 * 10**9,
        )

    def CalculateLayer(self, request, context):
        self._note(request, context)
        answer = architecture_pb2.CalculateLayerResponse(out_channels=2, output_size=[16], parameters=20)
        answer.input_sizes.add(sizes=[52, 53, 54])
        return answer

    def EvaluateArchitecture(self, request, context):
        self._note(request, context)
        yield evaluation_pb2.EvaluationUpdate(progress={"stage": "evaluating", "done": 1, "total": 2, "unit": "images"})
        metrics = {"split": "test", "image_count": 1200, "accuracy": 0.75, "top5_accuracy": 0.9, "loss": 0.5}
        yield evaluation_pb2.EvaluationUpdate(
            evaluation={"architecture": request.architecture, "weights": request.weights, "metrics": metrics}
        )

    def PreviewAugmentation(self, request, context):
        self._note(request, context)
        yield training_pb2.PreviewChunk(data=b"PN", size_bytes=3)
        yield training_pb2.PreviewChunk(data=b"G")

    def ReproduceModelVersion(self, request, context):
        self._note(request, context)
        self.job.reproduces = request.name
        return self.job

    def CombineModels(self, request, context):
        self._note(request, context)
        self.job.combination.method = request.method
        self.job.combination.members.extend(request.members)
        return self.job

    def EvaluateModelVersion(self, request, context):
        self._note(request, context)
        yield evaluation_pb2.EvaluationUpdate(
            evaluation={"model_version": VERSION, "stored": True, "models_measured": 3}
        )

    def InspectModel(self, request, context):
        self._note(request, context)
        if request.layer == "conv9":
            violations = [("layer", "'conv9' is no layer: use conv1")]
            refuse(context, code_pb2.INVALID_ARGUMENT, "layer: 'conv9' is no layer", "INVALID_LAYER", violations)
        yield model_pb2.InspectionUpdate(progress={"stage": "reading", "done": 1, "total": 2, "unit": "images"})
        inspection = {"model_version": VERSION, "view": request.view, "layers": ["conv1"], "size_bytes": 3}
        inspection["channels"] = [{"layer": "conv1", "channel": 2, "value": 0.5}]
        yield model_pb2.InspectionUpdate(inspection=inspection)
        yield model_pb2.InspectionUpdate(data=b"PN")
        yield model_pb2.InspectionUpdate(data=b"G")

    def CreateDataset(self, request, context):
        self._note(request, context)
        return dataset_pb2.Dataset(name="datasets/flowers/imports/1", state=dataset_pb2.DATASET_STATE_IMPORTING)

    def CheckDataset(self, request, context):
        self._note(request, context)
        yield dataset_pb2.DatasetCheckUpdate(progress={"stage": "checking", "done": 1, "total": 2, "unit": "images"})
        yield dataset_pb2.DatasetCheckUpdate(report=REPORT)

    def GetDataset(self, request, context):
        self._note(request, context)
        if self.imports[0] is None:
            self.imports.pop(0)
            context.abort(grpc.StatusCode.UNAVAILABLE, "going down")
        return self.imports.pop(0)

    def ListModels(self, request, context):
        return model_pb2.ListModelsResponse(models=[model_pb2.Model(name=f"models/{name}") for name in self.models])

    def GetModel(self, request, context):
        return self.model

    def ListModelVersions(self, request, context):
        return model_pb2.ListModelVersionsResponse(
            model_versions=[model_pb2.ModelVersion(name=VERSION, live=True, aliases=["canary"], state=2)]
        )

    def _move(self, request, context):
        self._note(request, context)
        if request.HasField("expected_live_version") and request.expected_live_version != VERSION:
            refuse(context, code_pb2.ABORTED, f"{VERSION} is live by now", "LIVE_MOVED")
        return self.model

    PromoteModelVersion = RollbackModel = _move

    def SetModelAlias(self, request, context):
        self._note(request, context)
        return model_pb2.Model(
            name="models/flowers", aliases=[{"alias": request.alias, "model_version": request.model_version}]
        )

    def DeleteModelAlias(self, request, context):
        self._note(request, context)
        return model_pb2.Model(name="models/flowers")

    def GetModelVersion(self, request, context):
        return model_pb2.ModelVersion(
            name=VERSION, state=model_pb2.MODEL_VERSION_STATE_READY, live=True, evaluations=self.evaluations
        )

    def ListArtifacts(self, request, context):
        files = [
            artifact_pb2.Artifact(
                path=path,
                size_bytes=len(data),
                sha256="0" * 64 if self.wrong_digests else hashlib.sha256(data).hexdigest(),
            )
            for path, data in self.files.items()
        ]
        return artifact_pb2.ListArtifactsResponse(parent=VERSION, artifacts=files)

    def DownloadArtifact(self, request, context):
        self._note(request, context)
        data = self.files[request.path]
        for offset in range(request.offset, len(data), 2):
            if offset == self.break_after:
                self.break_after = None
                context.abort(grpc.StatusCode.UNAVAILABLE, "going down")
            yield artifact_pb2.ArtifactChunk(offset=offset, data=data[offset : offset + 2], size_bytes=len(data))

    def Predict(self, request, context):
        self._note(request, context)
        results = []
        for image in request.images:
            result = prediction_pb2.ImageResult()
            if image == b"broken":
                result.error.message = "no image"
            else:
                result.classification.classes.add(class_id="n1", display_name="rose", probability=0.75)
            results.append(result)
        return prediction_pb2.PredictResponse(model_version=VERSION, results=results)

    def PredictStream(self, requests, context):
        for one in requests:
            yield prediction_pb2.PredictStreamResponse(id=one.id, response=self.Predict(one.request, context))


@contextmanager
def serving(fake: FakeCultivar) -> Iterator[FakeCultivar]:
    """Serves `fake` on a free port while the block runs."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    training_pb2_grpc.add_TrainingServiceServicer_to_server(fake, server)
    dataset_pb2_grpc.add_DatasetServiceServicer_to_server(fake, server)
    model_pb2_grpc.add_ModelServiceServicer_to_server(fake, server)
    artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(fake, server)
    prediction_pb2_grpc.add_PredictionServiceServicer_to_server(fake, server)
    fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        stopped: threading.Event = server.stop(0)
        stopped.wait()


def epoch(number: int, *, best: bool = False) -> event_pb2.JobEvent:
    """Returns event `number`: the end of epoch `number` of 20."""
    finished = event_pb2.EpochFinished(
        epoch=number,
        epochs=20,
        learning_rate=0.00098,
        train_loss=0.4312,
        train_accuracy=0.8711,
        val_loss=0.392,
        val_accuracy=0.8802,
        val_top5_accuracy=0.971,
        images_per_second=612,
        eta_seconds=12,
        best=best,
    )
    return event_pb2.JobEvent(number=number, epoch_finished=finished)
