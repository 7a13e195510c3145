"""What the trainer tells the world while it works: events for the service, lines for the log."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from cultivar.v1 import event_pb2, state_pb2
from cultivar_contract.run_directory import EventWriter

logger = logging.getLogger("cultivar_trainer")

PROGRESS_INTERVAL_S = 1.0
"""Shortest time between two progress events of one stage."""


class Journal:
    """Writes events, and a log line for each that a person would want to read."""

    def __init__(self, events: Path) -> None:
        self._writer = EventWriter(events)
        self._stage = ""
        self._stage_start = 0.0
        self._last_progress = 0.0

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.__exit__(*exception)

    def phase(self, phase: state_pb2.TrainingPhase) -> None:
        """Say which phase begins."""
        logger.info("phase %s", state_pb2.TrainingPhase.Name(phase).removeprefix("TRAINING_PHASE_").lower())
        self._writer.write(event_pb2.JobEvent(phase_entered=phase))

    def warning(self, text: str) -> None:
        """Say something that a careful reader should know."""
        logger.warning("%s", text)
        self._writer.write(event_pb2.JobEvent(warning=text))

    def progress(self, stage: str, done: int, total: int, unit: str) -> None:
        """Say how far a long step is; of calls in quick succession only the last (done = total) is sure to be kept."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._stage_start, self._last_progress = stage, now, now
        if done != total and now - self._last_progress < PROGRESS_INTERVAL_S:
            return
        self._last_progress = now
        progress = event_pb2.Progress(stage=stage, done=done, total=total, unit=unit)
        if 0 < done < total:
            progress.eta_seconds = (now - self._stage_start) * (total - done) / done
        logger.info("%s: %d of %d %s", stage, done, total, unit)
        self._writer.write(event_pb2.JobEvent(progress=progress))

    def data_prepared(self, event: event_pb2.DataPrepared) -> None:
        """Say which images take part."""
        for split in event.splits:
            logger.info("%s: %d images in %d classes", split.split, split.image_count, len(split.class_counts))
        self._writer.write(event_pb2.JobEvent(data_prepared=event))

    def normalisation_measured(self, event: event_pb2.NormalisationMeasured) -> None:
        """Say what the training images were normalised by."""
        logger.info(
            "normalisation measured on %d images: mean %s, std %s",
            event.image_count,
            ", ".join(f"{one:.4f}" for one in event.mean),
            ", ".join(f"{one:.4f}" for one in event.std),
        )
        self._writer.write(event_pb2.JobEvent(normalisation_measured=event))

    def network_built(self, event: event_pb2.NetworkBuilt, plan: dict[str, Any]) -> None:
        """Say what learns, from which weights, under which plan."""
        event.plan_json = json.dumps(plan, sort_keys=True)
        logger.info("%d of %d parameters learn", event.trainable_parameters, event.parameters)
        if event.HasField("weights"):
            weights = event.weights
            logger.info(
                "weights %s (sha256 %s): %d tensors loaded, %d replaced, %d missing",
                weights.source,
                weights.sha256[:12],
                weights.tensors_loaded,
                len(weights.tensors_replaced),
                len(weights.tensors_missing),
            )
        logger.info("plan %s", event.plan_json)
        self._writer.write(event_pb2.JobEvent(network_built=event))

    def epoch_finished(self, event: event_pb2.EpochFinished) -> None:
        """Say how an epoch went."""
        logger.info(
            "epoch %d/%d lr %.3g train_loss %.4f train_accuracy %.4f val_loss %.4f val_accuracy %.4f val_top5 %.4f "
            "%.0f images/s%s",
            event.epoch,
            event.epochs,
            event.learning_rate,
            event.train_loss,
            event.train_accuracy,
            event.val_loss,
            event.val_accuracy,
            event.val_top5_accuracy,
            event.images_per_second,
            " (best so far)" if event.best else "",
        )
        self._writer.write(event_pb2.JobEvent(epoch_finished=event))

    def export_verified(self, event: event_pb2.ExportVerified) -> None:
        """Say how the exported graph compared with PyTorch."""
        logger.info(
            "export: %d bytes, max |difference of probabilities| %.2g over %d images",
            event.file_bytes,
            event.max_probability_difference,
            event.image_count,
        )
        self._writer.write(event_pb2.JobEvent(export_verified=event))

    def split_evaluated(self, event: event_pb2.SplitMetrics) -> None:
        """Say what the exported graph scores on a split."""
        logger.info(
            "%s: loss %.4f accuracy %.4f top5 %.4f", event.split, event.loss, event.accuracy, event.top5_accuracy
        )
        self._writer.write(event_pb2.JobEvent(split_evaluated=event))
