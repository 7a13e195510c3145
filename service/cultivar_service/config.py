"""Everything that can be set about the service, checked once, at the edge."""

import ipaddress
import math
import os
from dataclasses import dataclass, field
from pathlib import Path


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    """Name or IP address."""
    port: int
    """0: any free port."""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `host:port`; an IPv6 host stands in brackets.

        Raises:
            ValueError: it is something else.
        """
        host, separator, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            separator = ""
        if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is no address: use HOST:PORT, such as 127.0.0.1:50051")
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Security:
    """Who may connect to gRPC, and how."""

    certificate: Path | None = None
    """PEM file of the certificate and its chain; None: no TLS."""
    key: Path | None = None
    """PEM file of the certificate's key, without a password."""
    client_ca: Path | None = None
    """PEM file of the authorities that clients' certificates must come from; None: clients need none."""
    tokens_file: Path | None = None
    """File of the tokens that are let in; None: no token is asked for."""
    insecure: bool = False
    """Whether gRPC may listen, without TLS and tokens, where other machines can connect."""

    def __post_init__(self) -> None:
        """Check what belongs together."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate and its key belong together: set both --tls-certificate and --tls-key")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("--tls-client-ca asks clients for certificates, which needs --tls-certificate as well")

    def check_public(self, address: Address) -> None:
        """Check that gRPC may listen at an address that other machines can reach.

        Raises:
            ValueError: certificate or tokens are missing, and nobody said that the network is trusted.
        """
        missing = []
        if self.certificate is None:
            missing.append("a certificate (--tls-certificate, --tls-key)")
        if self.tokens_file is None:
            missing.append("tokens (--tokens-file)")
        if missing and not self.insecure:
            raise ValueError(
                f"gRPC address {address} can be reached from other machines, without {' and without '.join(missing)}: "
                "set what is missing, use 127.0.0.1, or set CULTIVAR_INSECURE=true if the network is trusted"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLimits:
    """What one client, or all of them, may take of the wire."""

    max_connections: int = 4096
    """Connections at a time; more are closed at once."""
    max_streams: int = 1000
    """Requests under way on one connection; more wait on the client's side."""
    max_requests: int = 4096
    """Requests under way on all connections, watches among them; more are refused."""
    handshake_s: float = 20.0
    """Seconds that TLS and HTTP/2 get to come about."""
    ping_s: float = 120.0
    """Seconds after which a silent client is asked whether it lives."""
    idle_s: float = 900.0
    """Seconds after which a connection without requests is closed; clients open it again when they need it."""
    age_s: float = 3600.0
    """Seconds after which a connection takes no new requests: clients open another, so that load spreads anew."""
    age_grace_s: float = 4000.0
    """Seconds that the requests of such a connection get to end: longer than an evaluation may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The service's settings."""

    data_dir: Path
    """Folder of everything that the service keeps."""
    weights_dir: Path
    """Folder of pretrained weight files."""
    datasets_root: Path
    """Folder that data sets may be imported from."""
    grpc_address: Address = field(default=Address("127.0.0.1", 50051))
    """Where gRPC listens."""
    metrics_address: Address = field(default=Address("127.0.0.1", 9464))
    """Where /metrics and /healthz listen."""
    security: Security = field(default=Security())
    """Who may connect to gRPC, and how."""
    connections: ConnectionLimits = field(default=ConnectionLimits())
    """What clients may take of the wire."""
    trainer_command: tuple[str, ...] = ()
    """Program and first arguments of a trainer; empty: the installed cultivar_trainer, where there is one."""
    max_running_jobs: int = 0
    """Trainer processes that train at a time; 0: as many as devices have room for."""
    max_jobs_per_gpu: int = 5
    """Processes that compute on a GPU, everybody's, at which no job is added."""
    serving_gpu_bytes: int = 1 << 30
    """GPU memory that is kept for predictions, where a GPU computes them."""
    visible_gpus: str | None = None
    """CUDA_VISIBLE_DEVICES: the GPUs that jobs may use; None: all."""
    retry_delay_s: float = 10.0
    """Seconds before a job's next attempt, after one that was lost; each further one without progress doubles it."""
    priority_ageing: float = 1.0
    """Points of priority that a job gains for each minute that it waits."""
    max_running_imports: int = 1
    """Trainer processes that import data sets at a time."""
    max_queued_jobs: int = 1000
    """Jobs that may wait; more are refused."""
    max_queued_imports: int = 100
    """Imports that may wait or run; more are refused."""
    cancel_grace_s: float = 8.0
    """Seconds between SIGTERM and SIGKILL for a trainer."""
    drain_settle_s: float = 0.25
    """Seconds at shutdown in which requests that were on their way are still answered."""
    drain_grace_s: float = 20.0
    """Seconds that requests in flight get to finish at shutdown."""
    describe_deadline_s: float = 60.0
    """Seconds that describing an architecture may take."""
    preview_deadline_s: float = 120.0
    """Seconds that drawing augmented images may take."""
    evaluate_deadline_s: float = 3600.0
    """Seconds that evaluating a model may take."""
    inspect_deadline_s: float = 600.0
    """Seconds that drawing what a network looks at may take."""
    report_deadline_s: float = 300.0
    """Seconds that drawing a study's report may take."""
    check_deadline_s: float = 3600.0
    """Seconds that checking a data set may take."""
    max_message_bytes: int = 32 << 20
    """Largest gRPC message that is received."""
    max_images_per_request: int = 256
    """Images in one Predict."""
    max_queued_images: int = 64
    """Images that may wait for a model version; more are refused."""
    max_extra_versions: int = 4
    """Loaded model versions beside the live ones."""
    device: str = "auto"
    """What computes predictions: `auto` (a GPU where one works), `cpu` or `cuda`."""
    inference_threads: int = 1
    """Threads that compute one batch on a CPU; every core computes batches of its own."""
    cache_budget_bytes: int = 20 << 30
    """Size that trainers' derived stores and features may take together."""
    min_free_bytes: int = 500 << 20
    """Free disk space below which no job, import or upload starts."""
    max_upload_bytes: int = 50 << 30
    """Size of one uploaded archive; larger ones are refused."""
    max_uploads_bytes: int = 200 << 30
    """Size that the uploads of one token, or of everybody where there are none, may take together."""
    max_uploads: int = 100
    """Uploads that one token may have at a time."""
    upload_expiry_s: float = 86400.0
    """Seconds after its last byte at which an upload that no import uses is discarded."""
    upload_silence_s: float = 60.0
    """Seconds that the next chunk of an upload is waited for."""
    critical_free_bytes: int | None = None
    """Free disk space below which running jobs and imports are stopped; None: a quarter of min_free_bytes."""
    keep_runs_days: int = 30
    """Days that the files of an ended job, and a failed import, are kept; 0: for ever."""
    keep_versions: int = 0
    """READY versions of a model that are kept beside those in use; 0: all."""

    def __post_init__(self) -> None:
        """Check what could not work."""
        if not self.grpc_address.is_loopback:
            self.security.check_public(self.grpc_address)
        for name in (
            "max_jobs_per_gpu",
            "max_running_imports",
            "max_message_bytes",
            "max_queued_images",
            "max_upload_bytes",
            "max_uploads_bytes",
            "inference_threads",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: use 1 or more")
        for name in ("max_running_jobs", "serving_gpu_bytes", "retry_delay_s", "priority_ageing", "upload_expiry_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} {getattr(self, name)}: use 0 or more")
        for name in ("min_free_bytes", "keep_runs_days", "keep_versions"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)}: use 0 or more")
        if not 0 <= self.critical_bytes <= self.min_free_bytes:
            raise ValueError(
                f"critical_free_bytes {self.critical_bytes}: use 0 to min_free_bytes, which is {self.min_free_bytes}"
            )
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device {self.device!r}: use auto, cpu or cuda")

    @property
    def critical_bytes(self) -> int:
        """Free disk space below which running jobs and imports are stopped."""
        return self.min_free_bytes // 4 if self.critical_free_bytes is None else self.critical_free_bytes

    @property
    def catalog(self) -> Path:
        """The catalog's file."""
        return self.data_dir / "catalog.sqlite"

    @property
    def datasets(self) -> Path:
        """Images of data set versions, NAME/VERSION each."""
        return self.data_dir / "datasets"

    @property
    def imports(self) -> Path:
        """Run directories of imports."""
        return self.data_dir / "imports"

    @property
    def uploads(self) -> Path:
        """Archives that clients send, one file each."""
        return self.data_dir / "uploads"

    @property
    def runs(self) -> Path:
        """Run directories of training jobs."""
        return self.data_dir / "runs"

    @property
    def studies(self) -> Path:
        """Reports of training studies, a folder each."""
        return self.data_dir / "studies"

    @property
    def models(self) -> Path:
        """Packages of model versions, NAME/VERSION each."""
        return self.data_dir / "models"

    @property
    def evaluations(self) -> Path:
        """Reports of evaluations that no job made, one folder each."""
        return self.data_dir / "evaluations"

    @property
    def caches(self) -> Path:
        """Trainers' derived stores and features."""
        return self.data_dir / "caches"

    @property
    def downloads(self) -> Path:
        """Downloaded archives."""
        return self.data_dir / "downloads"

    @property
    def scratch(self) -> Path:
        """What is emptied at every start."""
        return self.data_dir / "scratch"

    @property
    def restoring(self) -> Path:
        """What is being restored from a backup; there only while that goes on."""
        return self.data_dir / "restoring"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders of the data directory."""
        return (
            self.datasets,
            self.uploads,
            self.imports,
            self.runs,
            self.studies,
            self.models,
            self.evaluations,
            self.caches,
            self.downloads,
            self.scratch,
        )
