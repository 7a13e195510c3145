"""How the channel to the service is set up: message limits, retries, keep-alive."""

import json

import grpc

MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024

# Repeating one of these changes nothing: reads; creates, which carry a request_id; and settings to a named value.
# Deletes are left out: a repeated one would answer NOT_FOUND for what the first did.
RETRIED_METHODS = {
    "DatasetService": ("CreateDataset", "GetDataset", "ListDatasets"),
    "TrainingService": (
        "CreateTrainingJob",
        "GetTrainingJob",
        "ListTrainingJobs",
        "CancelTrainingJob",
        "ListArchitectures",
        "DescribeArchitecture",
        "DescribeTrainingSpec",
        "CalculateLayer",
    ),
    "ModelService": ("GetModel", "ListModels", "GetModelVersion", "ListModelVersions", "PromoteModelVersion"),
    "ArtifactService": ("ListArtifacts",),
    "PredictionService": ("Predict",),
}

# https://github.com/grpc/proposal/blob/master/A6-client-retries.md
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": f"cultivar.v1.{service}", "method": method}
                for service, methods in RETRIED_METHODS.items()
                for method in methods
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

OPTIONS = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    # A request larger than this buffer is not repeated; the default of 256 KiB is less than most photographs.
    ("grpc.per_rpc_retry_buffer_size", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    # A service that restarts is found again within seconds.
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Watching has no deadline, so pings find a dead network. Servers refuse pings more often than every 5 minutes.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]


def open_channel(address: str) -> grpc.aio.Channel:
    """Returns a channel to `address` (`host:port`); nothing is sent before the first call."""
    return grpc.aio.insecure_channel(address, options=OPTIONS)
