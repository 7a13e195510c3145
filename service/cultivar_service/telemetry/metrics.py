"""Every Prometheus metric of the service but the GPUs' own."""

from collections.abc import Callable, Iterable, Mapping
from importlib import metadata

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from cultivar.v1 import event_pb2, state_pb2, study_pb2
from cultivar_service.telemetry.disk import DiskMetrics

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
WAIT_BUCKETS = (0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 14400.0, 86400.0)
"""Seconds."""
BATCH_BUCKETS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""Images."""
CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Probability."""
_STATE_PREFIX = "TRAINING_JOB_STATE_"
_STUDY_STATE_PREFIX = "TRAINING_STUDY_STATE_"


class Metrics:
    """The metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter and histogram, which nobody here asks for
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        Gauge("cultivar_build_info", "1; its label is the version.", ["version"], registry=registry).labels(
            service_version()
        ).set(1)

        self._jobs = Gauge("cultivar_training_jobs", "Training jobs by state.", ["state"], registry=registry)
        self.set_job_counts({})
        self._studies = Gauge("cultivar_training_studies", "Training studies by state.", ["state"], registry=registry)
        self.set_study_counts({})
        self.queue_length = Gauge("cultivar_training_queue_length", "Jobs that wait.", registry=registry)
        self.queue_wait = Histogram(
            "cultivar_training_queue_wait_seconds",
            "Time from a job's creation to its trainer's start.",
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self._epoch_gauges = {
            field: Gauge(f"cultivar_training_{field}", text, ["job"], registry=registry)
            for field, text in (
                ("epoch", "Epochs that a running job has finished."),
                ("epochs", "Epochs that a running job shall make, with each candidate where there are several."),
                ("candidate", "Pair of learning rate and weight decay that the figures are of; 0 where there is one."),
                ("learning_rate", "Learning rate of the last update."),
                ("train_loss", "Mean training loss of the last epoch."),
                ("train_accuracy", "Training accuracy of the last epoch."),
                ("val_loss", "Validation loss after the last epoch."),
                ("val_accuracy", "Validation accuracy after the last epoch."),
                ("val_top5_accuracy", "Validation top-5 accuracy after the last epoch."),
                ("val_macro_f1", "Validation macro-averaged F1 score after the last epoch."),
                ("images_per_second", "Training images per second in the last epoch."),
                ("gpu_memory_bytes", "Largest GPU memory that a running job has reserved; absent on CPU."),
                ("host_memory_bytes", "Resident memory of a running job's trainer."),
            )
        }

        self.grpc_requests = Counter("cultivar_grpc_requests", "Answered RPCs.", ["method", "code"], registry=registry)
        self.grpc_seconds = Histogram(
            "cultivar_grpc_request_seconds",
            "Time from an RPC's arrival to its last answer.",
            ["method"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

        self.placement = PlacementMetrics(registry)
        self.disk = DiskMetrics(registry)
        self.predictions = PredictionMetrics(registry)
        self.loaded_versions = AtScrape(
            "cultivar_loaded_versions", "Model versions in memory, by what computes them.", "provider", registry
        )
        self.model_swaps = Counter(
            "cultivar_model_swaps", "Times that a live version replaced another.", ["model"], registry=registry
        )
        self.rejected_versions = Counter(
            "cultivar_rejected_versions",
            "Model versions that were refused at load, by what was wrong with them.",
            ["model", "reason"],
            registry=registry,
        )
        self.version_load_seconds = Histogram(
            "cultivar_version_load_seconds",
            "Time to verify and load a model version that can answer.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

    def set_job_counts(self, counts: Mapping[int, int]) -> None:
        """Show the number of jobs in every state."""
        for value in state_pb2.TrainingJobState.DESCRIPTOR.values[1:]:
            self._jobs.labels(value.name.removeprefix(_STATE_PREFIX)).set(counts.get(value.number, 0))

    def set_study_counts(self, counts: Mapping[int, int]) -> None:
        """Show the number of studies in every state."""
        for value in study_pb2.TrainingStudyState.DESCRIPTOR.values[1:]:
            self._studies.labels(value.name.removeprefix(_STUDY_STATE_PREFIX)).set(counts.get(value.number, 0))

    def show_job(self, job_id: str, *, epochs: int, latest: event_pb2.EpochFinished | None) -> None:
        """Show how far a running job is."""
        self._epoch_gauges["epochs"].labels(job_id).set(epochs)
        if latest is None:
            self._epoch_gauges["epoch"].labels(job_id).set(0)
            return
        for field, gauge in self._epoch_gauges.items():
            if field != "gpu_memory_bytes" or latest.HasField("gpu_memory_bytes"):
                gauge.labels(job_id).set(getattr(latest, field))

    def hide_job(self, job_id: str) -> None:
        """Forget a job that no longer runs, so that finished jobs don't pile up in the page."""
        for gauge in self._epoch_gauges.values():
            gauge.remove_by_labels({"job": job_id})

    def forget_model(self, model: str) -> None:
        """Forget a deleted model."""
        self.predictions.forget(model)
        for metric in (self.model_swaps, self.rejected_versions):
            metric.remove_by_labels({"model": model})


class AtScrape(Collector):
    """A gauge with one label, whose values are asked for at every scrape."""

    def __init__(self, name: str, text: str, label: str, registry: CollectorRegistry) -> None:
        self.read: Callable[[], Mapping[str, float]] = dict
        """Returns the values by label."""
        self._family = (name, text, label)
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Return the values of now."""
        name, text, label = self._family
        family = GaugeMetricFamily(name, text, labels=[label])
        for value, number in self.read().items():
            family.add_metric([value], number)
        return [family]


class PlacementMetrics:
    """The metrics of placing jobs on devices."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reserved_bytes = AtScrape(
            "cultivar_placement_reserved_bytes",
            "GPU memory that running jobs are expected to take at their peaks.",
            "gpu",
            registry,
        )
        self.refusals = Counter(
            "cultivar_placement_refusals", "Times that no device had room for a job.", registry=registry
        )


class ModelMetrics:
    """One model's predictions. Holds the series themselves: looking them up takes longer than counting."""

    def __init__(self, families: "PredictionMetrics", model: str) -> None:
        stages = families.stage_seconds
        self.whole_s = families.seconds.labels(model)
        self.queue_s, self.decode_s, self.inference_s = (
            stages.labels(model, stage) for stage in ("queue", "decode", "inference")
        )
        self.batch_size = families.batch_size.labels(model)
        self.confidence = families.confidence.labels(model)
        self.deadline_margin_s = families.deadline_margin_seconds.labels(model)
        self._families = families
        self._model = model

    def count_images(self, outcome: str, images: int) -> None:
        """Count images that were `classified` or `unreadable`."""
        if images:
            self._families.images.labels(self._model, outcome).inc(images)

    def refuse(self, reason: str) -> None:
        """Count a request that was not admitted: QUEUE_FULL or QUEUE_WAIT."""
        self._families.refusals.labels(self._model, reason).inc()

    def drop(self, reason: str, images: int) -> None:
        """Count images that were let go before the network saw them: CANCELLED, DEADLINE or EVICTED."""
        if images:
            self._families.dropped_images.labels(self._model, reason).inc(images)


class PredictionMetrics:
    """The metrics of predicting, by model."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._models: dict[str, ModelMetrics] = {}
        self.seconds = Histogram(
            "cultivar_prediction_seconds",
            "Time to answer a request.",
            ["model"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "cultivar_prediction_stage_seconds",
            "Time of one image (queue, decode) or batch (inference) in a stage of predicting.",
            ["model", "stage"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "cultivar_prediction_batch_size",
            "Images that went through a network together.",
            ["model"],
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.confidence = Histogram(
            "cultivar_prediction_confidence",
            "Probability of an image's most probable class.",
            ["model"],
            buckets=CONFIDENCE_BUCKETS,
            registry=registry,
        )
        self.deadline_margin_seconds = Histogram(
            "cultivar_prediction_deadline_margin_seconds",
            "Time that was left of a request's deadline when it was answered.",
            ["model"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.images = Counter(
            "cultivar_prediction_images", "Images by what became of them.", ["model", "outcome"], registry=registry
        )
        self.refusals = Counter(
            "cultivar_prediction_refusals", "Requests that were not admitted.", ["model", "reason"], registry=registry
        )
        self.dropped_images = Counter(
            "cultivar_prediction_dropped_images",
            "Admitted images that were let go before the network saw them.",
            ["model", "reason"],
            registry=registry,
        )
        self.queued_images = AtScrape("cultivar_prediction_queued_images", "Images that wait.", "model", registry)
        self.images_in_flight = Gauge(
            "cultivar_prediction_images_in_flight", "Images that wait or are being classified.", registry=registry
        )

    def of(self, model: str) -> ModelMetrics:
        """Return one model's."""
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = ModelMetrics(self, model)
        return found

    def forget(self, model: str) -> None:
        """Forget a deleted model."""
        self._models.pop(model, None)
        for family in (
            self.seconds,
            self.stage_seconds,
            self.batch_size,
            self.confidence,
            self.deadline_margin_seconds,
            self.images,
            self.refusals,
            self.dropped_images,
        ):
            family.remove_by_labels({"model": model})


def service_version() -> str:
    """Return the version of the installed service."""
    try:
        return metadata.version("cultivar")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"
