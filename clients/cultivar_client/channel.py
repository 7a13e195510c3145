"""How the channel to the service is set up: TLS, message limits, retries, keep-alive."""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

import grpc

MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024

# Repeating one of these changes nothing: reads; creates, which carry a request_id; and settings to a named value.
# Deletes are left out: a repeated one would answer NOT_FOUND for what the first did.
RETRIED_METHODS = {
    "DatasetService": ("CreateDataset", "GetDataset", "ListDatasets", "CreateUpload", "GetUpload", "FinishUpload"),
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Tls:
    """How a service proves who it is, and a client where the service asks for it. Files are PEM."""

    ca: Path | None = None
    """Authorities that the service's certificate may come from; None: the public ones."""
    certificate: Path | None = None
    """The client's certificate."""
    key: Path | None = None
    """Its key."""

    def __post_init__(self) -> None:
        """Check what belongs together."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a client's certificate and its key belong together: give both")


def open_channel(address: str, tls: Tls | None) -> grpc.aio.Channel:
    """Returns a channel to `address` (`host:port`); nothing is sent before the first call.

    Raises OSError where a file of `tls` can't be read.
    """
    if tls is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    ca, certificate, key = (path and path.read_bytes() for path in (tls.ca, tls.certificate, tls.key))
    credentials = grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=certificate)
    return grpc.aio.secure_channel(address, credentials, options=OPTIONS)


def stays_here(address: str) -> bool:
    """Tells whether what is sent to `address` stays on this machine."""
    if address.startswith("unix:"):
        return True
    for scheme in ("dns:///", "dns:", "ipv4:", "ipv6:"):
        address = address.removeprefix(scheme)
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
