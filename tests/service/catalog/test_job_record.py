"""What events make of a job's record."""

from cultivar.v1 import event_pb2, training_pb2
from cultivar_service.catalog import job_record


def test_the_verdict_on_the_curves_is_kept() -> None:
    job = training_pb2.TrainingJob()
    told = event_pb2.FitAssessed(verdict=event_pb2.FIT_VERDICT_OVERFITTING, reason="a gap of 0.29", turning_epoch=3)

    job_record.apply(job, event_pb2.JobEvent(fit_assessed=told))

    assert job.fit == told
