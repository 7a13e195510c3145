"""What the trainer tells the world while it works: events for the service, lines for the log."""

import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cultivar.v1 import event_pb2, state_pb2
from cultivar_contract.run_directory import EventWriter
from cultivar_trainer.told import Told

logger = logging.getLogger("cultivar_trainer")

PROGRESS_INTERVAL_S = 1.0
"""Shortest time between two progress events of one stage."""


class Journal:
    """Writes events, and a log line for each that a person would want to read."""

    def __init__(self, events: Path, earlier: Iterable[event_pb2.JobEvent] = ()) -> None:
        """Begin an attempt's events.

        Args:
            events: their file.
            earlier: what earlier attempts told. Results among it, such as an epoch's figures, are told once in a job's
                life, however often they are found.
        """
        self._told = Told(earlier)
        self._writer = EventWriter(events)
        self._stage = ""
        self._stage_start = 0.0
        self._last_progress = 0.0

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.__exit__(*exception)

    def _write_once(self, event: event_pb2.JobEvent) -> None:
        if self._told.is_new(event):
            self._writer.write(event)

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
        self._write_once(event_pb2.JobEvent(epoch_finished=event))

    def early_stopped(self, event: event_pb2.EarlyStopped) -> None:
        """Say that training ended before its last epoch."""
        logger.info("stopped early after epoch %d; the best is %d", event.epoch, event.best_epoch)
        self._write_once(event_pb2.JobEvent(early_stopped=event))

    def candidate_finished(self, event: event_pb2.CandidateFinished) -> None:
        """Say how one pair of learning rate and weight decay did."""
        logger.info(
            "candidate %d/%d learning_rate %.3g weight_decay %.3g: %s",
            event.candidate,
            event.candidates,
            event.learning_rate,
            event.weight_decay,
            f"{event.value:.4f} in epoch {event.best_epoch}" if event.best_epoch else "diverged",
        )
        self._write_once(event_pb2.JobEvent(candidate_finished=event))

    def fit_assessed(self, event: event_pb2.FitAssessed) -> None:
        """Say whether the training underfits or overfits."""
        verdict = event_pb2.FitVerdict.Name(event.verdict).removeprefix("FIT_VERDICT_").lower()
        logger.info("%s: %s%s", verdict, event.reason, f"; try {event.remedy}" if event.remedy else "")
        self._write_once(event_pb2.JobEvent(fit_assessed=event))

    def symptom_found(self, event: event_pb2.SymptomFound) -> None:
        """Say that training shows a sign of going wrong; the log too has each layer's once."""
        told = event_pb2.JobEvent(symptom_found=event)
        if self._told.is_new(told):
            logger.warning("%s", event.message)
            self._writer.write(told)

    def plan_changed(self, event: event_pb2.PlanChanged, plan: dict[str, Any]) -> None:
        """Say under which other plan training goes on, and why."""
        event.plan_json = json.dumps(plan, sort_keys=True)
        logger.warning("%s: from update %d on the plan is %s", event.reason, event.step + 1, event.plan_json)
        self._writer.write(event_pb2.JobEvent(plan_changed=event))

    def training_resumed(self, event: event_pb2.TrainingResumed) -> None:
        """Say where an earlier attempt's checkpoint lets training go on."""
        logger.info("training goes on after update %d, %d whole epochs", event.step, event.epoch)
        self._writer.write(event_pb2.JobEvent(training_resumed=event))

    def checkpoint_written(self, event: event_pb2.CheckpointWritten) -> None:
        """Say up to where nothing can be lost any more."""
        self._writer.write(event_pb2.JobEvent(checkpoint_written=event))

    def memory_measured(self, event: event_pb2.MemoryMeasured) -> None:
        """Say what memory training takes."""
        logger.info("memory: %d MiB on the host, %d on the GPU", event.host_bytes >> 20, event.gpu_bytes >> 20)
        self._writer.write(event_pb2.JobEvent(memory_measured=event))

    def export_verified(self, event: event_pb2.ExportVerified) -> None:
        """Say how the exported graph compared with PyTorch."""
        logger.info(
            "export: %d bytes, max |difference of probabilities| %.2g over %d images",
            event.file_bytes,
            event.max_probability_difference,
            event.image_count,
        )
        self._write_once(event_pb2.JobEvent(export_verified=event))

    def split_evaluated(self, event: event_pb2.SplitMetrics) -> None:
        """Say what the exported graph scores on a split."""
        logger.info(
            "%s: loss %.4f accuracy %.4f top5 %.4f macro_f1 %.4f",
            event.split,
            event.loss,
            event.accuracy,
            event.top5_accuracy,
            event.macro_f1,
        )
        self._write_once(event_pb2.JobEvent(split_evaluated=event))

    def members_compared(self, event: event_pb2.MembersCompared) -> None:
        """Say how a combined model compares with its members."""
        logger.info(
            "members: mean accuracy %.4f, combined %.4f, disagreement %.4f",
            event.mean_accuracy,
            event.combined_accuracy,
            event.disagreement,
        )
        self._write_once(event_pb2.JobEvent(members_compared=event))
