"""The small Cultivar service, with one study in it."""

import grpc
from fake_cultivar import FakeCultivar
from google.protobuf import empty_pb2

from cultivar.v1 import state_pb2, study_pb2, training_spec_pb2

STUDY = "trainingStudies/7"
VALIDATION = {"split": "val", "image_count": 200, "loss": 0.392, "accuracy": 0.88, "top5_accuracy": 1}


def finished_study():
    """Two variants with two seeds each, of which one trial failed."""
    study = study_pb2.TrainingStudy(
        name=STUDY,
        state=study_pb2.TRAINING_STUDY_STATE_SUCCEEDED,
        spec={"title": "Head or all", "base": {"selection_metric": training_spec_pb2.SELECTION_METRIC_LOSS}},
        winner="head",
        winner_model_version="models/flowers/versions/3",
        conclusion="head is better than the seeds' spread.",
        warnings=["budgets differ"],
        rows=[
            {
                "variant": "baseline",
                "succeeded": 1,
                "failed": 1,
                "validation_accuracy": {"mean": 0.75, "count": 1},
                "validation_loss": {"mean": 12345.678, "count": 1},
                "seconds": {"mean": 200, "count": 1},
                "updates": {"mean": 1200, "count": 1},
                "images_seen": {"mean": 19200, "count": 1},
            },
            {
                "variant": "head",
                "changes": ["mode: SCRATCH -> HEAD"],
                "principle": "Only the head learns. The rest stays.",
                "succeeded": 2,
                "validation_accuracy": {"mean": 0.9123, "std": 0.0081, "count": 2},
                "validation_loss": {"mean": 0.25, "std": 0.012, "count": 2},
                "difference": {"mean": -0.125, "low": -0.2, "high": 0.05, "pairs": 2, "method": "Student t"},
                "test_accuracy": {"mean": 0.9, "std": 0.01, "count": 2},
                "seconds": {"mean": 20, "std": 1, "count": 2},
            },
        ],
    )
    for variant in ("baseline", "head"):
        study.spec.variants.add(variant=variant)
        for seed in (1, 2):
            study.trials.add(variant=variant, seed=seed, training_job=f"trainingJobs/{variant}-{seed}")
    return study


class FakeStudies(FakeCultivar):
    def __init__(self):
        super().__init__()
        self.study = finished_study()
        self.files = {"report.html": b"<html>", "report.md": b"# "}

    @property
    def study_events(self):
        trials = [study_pb2.StudyTrial.FromString(trial.SerializeToString()) for trial in self.study.trials]
        trials[0].state = state_pb2.TRAINING_JOB_STATE_QUEUED
        trials[1].state = state_pb2.TRAINING_JOB_STATE_FAILED
        trials[1].error.message = "loss is not finite"
        trials[2].state = state_pb2.TRAINING_JOB_STATE_SUCCEEDED
        trials[2].validation.CopyFrom(study_pb2.StudyTrial(validation=VALIDATION).validation)
        trials[2].seconds = 12
        tested = study_pb2.StudyTrial(variant="head", seed=1, test={**VALIDATION, "split": "test"})
        facts = [
            {"trial_changed": trials[0]},
            {"trial_changed": trials[1]},
            {"trial_changed": trials[2]},
            {"warning": "budgets differ"},
            {"state_changed": study_pb2.TRAINING_STUDY_STATE_EVALUATING},
            {"winner_chosen": "head"},
            {"trial_tested": tested},
            {"state_changed": study_pb2.TRAINING_STUDY_STATE_SUCCEEDED},
        ]
        return [study_pb2.StudyEvent(number=number, **fact) for number, fact in enumerate(facts, 1)]

    def CreateTrainingStudy(self, request, context):
        self._note(request, context)
        return self.study

    def GetTrainingStudy(self, request, context):
        self._note(request, context)
        return self.study

    def ListTrainingStudies(self, request, context):
        self._note(request, context)
        return study_pb2.ListTrainingStudiesResponse(
            training_studies=[self.study], next_page_token="" if request.page_token else "1"
        )

    def WatchTrainingStudy(self, request, context):
        self._note(request, context)
        for event in self.study_events[request.after_event :]:
            yield event
            if event.number == self.break_after:
                self.break_after = None
                context.abort(grpc.StatusCode.UNAVAILABLE, "going down")

    def CancelTrainingStudy(self, request, context):
        self._note(request, context)
        return study_pb2.TrainingStudy(name=request.name, state=study_pb2.TRAINING_STUDY_STATE_CANCELLING)

    def DeleteTrainingStudy(self, request, context):
        self._note(request, context)
        return empty_pb2.Empty()
