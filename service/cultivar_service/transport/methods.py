"""Who may call which method, and which calls change something: the one table."""

from collections.abc import Mapping

from cultivar_service.caller import Scope

_PREDICT, _TRAIN, _ADMIN = Scope.PREDICT, Scope.TRAIN, Scope.ADMIN

SERVICES: Mapping[str, Scope] = {
    "cultivar.v1.PredictionService": _PREDICT,
    "inference.GRPCInferenceService": _PREDICT,
    # Which services there are is no secret, but nothing for everybody either.
    "grpc.reflection.v1alpha.ServerReflection": _PREDICT,
}
"""Scope of all methods of a service."""

METHODS: Mapping[str, Mapping[str, Scope]] = {
    # Who asks for predictions may see which models there are, their classes and their figures.
    "cultivar.v1.ModelService": {
        "GetModel": _PREDICT,
        "ListModels": _PREDICT,
        "GetModelVersion": _PREDICT,
        "ListModelVersions": _PREDICT,
        "ListModelAliases": _PREDICT,
        "EvaluateModelVersion": _TRAIN,
        "ReproduceModelVersion": _TRAIN,
        "CombineModels": _TRAIN,
        "InspectModel": _TRAIN,
        # Training moves `live` as well: these are no greater power than `publish: ALWAYS`.
        "PromoteModelVersion": _TRAIN,
        "RollbackModel": _TRAIN,
        "SetModelAlias": _TRAIN,
        "DeleteModelAlias": _TRAIN,
        "DeleteModel": _TRAIN,
        "DeleteModelVersion": _TRAIN,
    },
    "cultivar.v1.DatasetService": {
        "CreateDataset": _TRAIN,
        "GetDataset": _TRAIN,
        "ListDatasets": _TRAIN,
        "DeleteDataset": _TRAIN,
        "CheckDataset": _TRAIN,
        "CreateUpload": _TRAIN,
        "UploadChunks": _TRAIN,
        "GetUpload": _TRAIN,
        "FinishUpload": _TRAIN,
        "DeleteUpload": _TRAIN,
    },
    "cultivar.v1.TrainingService": {
        "CreateTrainingJob": _TRAIN,
        "GetTrainingJob": _TRAIN,
        "ListTrainingJobs": _TRAIN,
        "WatchTrainingJob": _TRAIN,
        "StreamTrainingLogs": _TRAIN,
        "CancelTrainingJob": _TRAIN,
        "PauseTrainingJob": _TRAIN,
        "ResumeTrainingJob": _TRAIN,
        "ExportTrainingJob": _TRAIN,
        "ListGpus": _TRAIN,
        "DeleteTrainingJob": _TRAIN,
        "ListArchitectures": _TRAIN,
        "DescribeArchitecture": _TRAIN,
        "DescribeTrainingSpec": _TRAIN,
        "CalculateLayer": _TRAIN,
        "EvaluateArchitecture": _TRAIN,
        "PreviewAugmentation": _TRAIN,
        "CreateTrainingStudy": _TRAIN,
        "GetTrainingStudy": _TRAIN,
        "ListTrainingStudies": _TRAIN,
        "WatchTrainingStudy": _TRAIN,
        "CancelTrainingStudy": _TRAIN,
        "DeleteTrainingStudy": _TRAIN,
    },
    # Models themselves and pictures of training images: more than predictions.
    "cultivar.v1.ArtifactService": {"ListArtifacts": _TRAIN, "DownloadArtifact": _TRAIN},
}
"""Scope of each method, by service."""

OPEN_SERVICES = frozenset({"grpc.health.v1.Health"})
"""Services that answer without a token: load balancers have none, and it tells nothing but whether a model answers."""

_READS = (
    *("Get", "List", "Watch", "Stream", "Download", "Describe", "Calculate"),
    *("Check", "Evaluate", "Preview", "Predict", "Inspect"),
)


def scope_of(service: str, method: str) -> Scope | None:
    """Return the scope that a method needs; None: no token at all. What the tables don't know needs `admin`."""
    if service in OPEN_SERVICES:
        return None
    return SERVICES.get(service) or METHODS.get(service, {}).get(method, _ADMIN)


def is_listed(service: str, method: str) -> bool:
    """Tell whether the tables know a method."""
    return service in OPEN_SERVICES or service in SERVICES or method in METHODS.get(service, {})


def changes_something(service: str, method: str) -> bool:
    """Tell whether a method belongs in the audit log: whatever is not known to read only does."""
    return service not in OPEN_SERVICES and service not in SERVICES and not method.startswith(_READS)
