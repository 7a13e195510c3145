"""The one place that builds the service's parts and wires them."""

import asyncio
import logging

from cultivar.open_inference import open_inference_pb2
from cultivar.v1 import artifact_pb2, dataset_pb2, model_pb2, prediction_pb2, training_pb2
from cultivar_service.api.architectures import ArchitecturesApi
from cultivar_service.api.artifacts import ArtifactApi
from cultivar_service.api.audit import AuditTrail
from cultivar_service.api.combinations import CombinationApi
from cultivar_service.api.datasets import DatasetApi
from cultivar_service.api.evaluations import EvaluationApi
from cultivar_service.api.gpus import GpuApi
from cultivar_service.api.inspections import InspectionApi
from cultivar_service.api.job_streams import JobStreamsApi
from cultivar_service.api.live import LiveApi
from cultivar_service.api.members import Members
from cultivar_service.api.models import ModelApi
from cultivar_service.api.open_inference.service import OpenInferenceApi
from cultivar_service.api.predictions import PredictionApi
from cultivar_service.api.previews import PreviewApi
from cultivar_service.api.recipes import Recipes
from cultivar_service.api.reproductions import ReproductionApi
from cultivar_service.api.studies import StudyApi
from cultivar_service.api.study_plans import StudyPlans
from cultivar_service.api.training import TrainingApi
from cultivar_service.api.uploads import UploadApi
from cultivar_service.api.weights import WeightSources
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Address, Config
from cultivar_service.datasets.imports import Imports
from cultivar_service.datasets.uploads import Uploads
from cultivar_service.errors import StartupRefused
from cultivar_service.housekeeping.housekeeper import Housekeeper
from cultivar_service.placement.gpus import GpuReader
from cultivar_service.placement.host import HostReader
from cultivar_service.placement.memory_needs import MemoryNeeds
from cultivar_service.placement.occupancy import Occupancy
from cultivar_service.placement.placement import Placement
from cultivar_service.serving import sessions
from cultivar_service.serving.alias_moves import AliasMoves
from cultivar_service.serving.deletion import Deletion
from cultivar_service.serving.live import LiveVersions
from cultivar_service.serving.predictor import Predictor
from cultivar_service.serving.publisher import Publisher
from cultivar_service.serving.registry import Registry
from cultivar_service.serving.resolver import Resolver
from cultivar_service.serving.versions import Versions
from cultivar_service.studies.readings import Readings
from cultivar_service.studies.reports import Reports
from cultivar_service.studies.studies import Studies
from cultivar_service.telemetry.gpu import GpuCollector
from cultivar_service.telemetry.http import MetricsServer
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.trainers.calls import Calls
from cultivar_service.trainers.executor import Executor
from cultivar_service.training.describe import Descriptions
from cultivar_service.training.evaluations import Evaluations
from cultivar_service.training.jobs import Jobs
from cultivar_service.training.reproductions import Reproductions
from cultivar_service.training.version_evaluations import VersionEvaluations
from cultivar_service.transport.authentication import authentication
from cultivar_service.transport.credentials import server_credentials
from cultivar_service.transport.grpc_server import GrpcServer

logger = logging.getLogger(__name__)


class Service:
    """The whole service. Made inside a running event loop."""

    grpc_address: Address
    """Where gRPC listens, once started."""
    metrics_address: Address
    """Where the metrics page listens, once started."""
    publisher: Publisher
    """Makes versions of packages."""
    jobs: Jobs
    """Training jobs."""
    studies: Studies
    """Comparisons of several ways to train."""
    uploads: Uploads
    """Archives that clients send."""
    housekeeper: Housekeeper
    """Keeps the data directory in order."""

    def __init__(self, config: Config) -> None:
        """Take the data directory and build the parts.

        Raises:
            StartupRefused: another service holds the data directory, or something that is set can't be used.
        """
        who, credentials = authentication(config.security), server_credentials(config.security)
        self._config = config
        self.metrics = metrics = Metrics()
        metrics.registry.register(GpuCollector())
        self._storage = storage = DataDirectory(config)
        try:
            self._catalog = catalog = Catalog(config.catalog)
        except BaseException:
            storage.close()
            raise
        executor = Executor(config.trainer_command, grace_s=config.cancel_grace_s)
        self._registry = registry = Registry(config, catalog, metrics, self._tell_model_health)
        versions = Versions(catalog, registry)
        self._live = live = LiveVersions(catalog, registry, versions)
        self.publisher = publisher = Publisher(config, catalog, registry, versions, live, metrics)
        resolver = Resolver(catalog, registry, versions)
        self._predictor = Predictor(max_queued_images=config.max_queued_images, metrics=metrics.predictions)
        self.uploads = uploads = Uploads(config, catalog, storage)
        self._imports = Imports(config, catalog, storage, executor, uploads)
        occupancy = Occupancy(
            config,
            GpuReader(visible=config.visible_gpus),
            HostReader(config.runs),
            serves_on_gpu=sessions.wants_gpu(config.device),
        )
        placement = Placement(config, occupancy, MemoryNeeds(catalog), metrics.placement)
        reproductions = Reproductions(config, catalog)
        self.jobs = Jobs(config, catalog, storage, executor, publisher, metrics, placement, reproductions)
        descriptions = Descriptions(Calls(config, storage, executor, "describe", deadline_s=config.describe_deadline_s))
        previews = Calls(config, storage, executor, "preview", deadline_s=config.preview_deadline_s)
        inspecting = Calls(config, storage, executor, "inspect", deadline_s=config.inspect_deadline_s)
        measuring = Calls(config, storage, executor, "evaluate", deadline_s=config.evaluate_deadline_s)
        checks = Calls(config, storage, executor, "check_dataset", deadline_s=config.check_deadline_s)
        measured = Evaluations(config, catalog, measuring)
        version_evaluations = VersionEvaluations(config, catalog, measured)
        evaluations = EvaluationApi(config, catalog, resolver, measured, version_evaluations)
        sources = WeightSources(config.models, catalog, resolver)
        recipes = Recipes(catalog, sources, descriptions, config.weights_dir)
        drawing = Calls(config, storage, executor, "report_study", deadline_s=config.report_deadline_s)
        self.studies = Studies(
            config,
            catalog,
            self.jobs,
            publisher,
            Readings(catalog, version_evaluations),
            Reports(config, storage, drawing),
            metrics,
        )
        deletion = Deletion(config, catalog, storage, registry, live, metrics)
        work = (self.jobs, self._imports)
        self.housekeeper = Housekeeper(config, catalog, storage, deletion, work, metrics.disk)
        self._audit = AuditTrail(catalog)
        self._grpc = GrpcServer(
            {
                dataset_pb2.DESCRIPTOR.services_by_name["DatasetService"]: (
                    DatasetApi(config, catalog, self._imports, checks),
                    UploadApi(config, catalog, uploads),
                ),
                training_pb2.DESCRIPTOR.services_by_name["TrainingService"]: (
                    TrainingApi(catalog, self.jobs, recipes),
                    JobStreamsApi(config, catalog, self.jobs.signals),
                    StudyApi(catalog, self.studies, StudyPlans(catalog, recipes)),
                    ArchitecturesApi(descriptions),
                    PreviewApi(config, catalog, previews),
                    GpuApi(occupancy),
                    evaluations,
                ),
                model_pb2.DESCRIPTOR.services_by_name["ModelService"]: (
                    ModelApi(catalog, resolver),
                    LiveApi(
                        catalog,
                        live,
                        AliasMoves(catalog, versions, live),
                        deletion,
                    ),
                    ReproductionApi(self.jobs.creation, resolver, reproductions),
                    CombinationApi(catalog, self.jobs.creation, Members(config.models, catalog, sources)),
                    InspectionApi(config, catalog, sources, inspecting),
                    evaluations,
                ),
                artifact_pb2.DESCRIPTOR.services_by_name["ArtifactService"]: (ArtifactApi(config, catalog, resolver),),
                prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"]: (
                    PredictionApi(resolver, self._predictor, metrics.predictions, config.max_images_per_request),
                ),
                open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]: (
                    OpenInferenceApi(
                        catalog,
                        resolver,
                        registry,
                        self._predictor,
                        metrics.predictions,
                        max_images=config.max_images_per_request,
                        is_ready=lambda: self._grpc.is_serving,
                    ),
                ),
            },
            metrics,
            self._audit,
            config,
            authentication=who,
            credentials=credentials,
        )
        self._metrics_server: MetricsServer | None = None

    async def start(self) -> None:
        """Load live models, find trainers, answer requests.

        Raises:
            StartupRefused: an address can't be had.
        """
        self.grpc_address = self._grpc.bind(self._config.grpc_address)
        try:
            self._metrics_server = MetricsServer(
                self._config.metrics_address, self.metrics.registry, lambda: self._grpc.is_serving
            )
        except OSError as error:
            raise StartupRefused(
                f"metrics address {self._config.metrics_address} can't be bound ({error.strerror}): "
                "set CULTIVAR_METRICS_ADDRESS to another"
            ) from error
        self._metrics_server.start()
        self.metrics_address = self._metrics_server.address
        if not self.grpc_address.is_loopback and self._config.security.tokens_file is None:
            logger.warning("whoever can reach %s may do everything: no tokens are asked for", self.grpc_address)
        await self.housekeeper.mark_missing()
        await self._live.start()
        self.uploads.start()
        await self._imports.start()
        await self.jobs.start()
        await self.studies.start()
        self.housekeeper.start()
        await self._grpc.start()
        await self._grpc.serve()
        await self._live.warm_previous()
        logger.info("serving gRPC on %s, metrics on http://%s/metrics", self.grpc_address, self.metrics_address)

    async def drain(self) -> None:
        """Refuse new requests, end watches, let predictions finish."""
        await self._grpc.drain(self._config.drain_grace_s, settle_s=self._config.drain_settle_s)

    async def close(self) -> None:
        """Drain requests, leave trainers to themselves, release everything."""
        await self.drain()
        await self.housekeeper.close()
        await self.studies.close()
        await self.jobs.close()
        await self._imports.close()
        await self.uploads.close()
        await self._live.close()
        await self._registry.close()
        await asyncio.to_thread(self._predictor.close)
        await self._audit.close()
        await asyncio.to_thread(self._catalog.close)
        if self._metrics_server is not None:
            await asyncio.to_thread(self._metrics_server.close)
        self._storage.close()

    async def _tell_model_health(self, model: str, can_answer: bool | None) -> None:
        await self._grpc.set_model_health(model, can_answer)
