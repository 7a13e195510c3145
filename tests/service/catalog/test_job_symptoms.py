from cultivar.v1 import event_pb2, training_pb2
from cultivar_service.catalog import job_record


def test_a_job_keeps_its_symptoms_up_to_a_hundred() -> None:
    job = training_pb2.TrainingJob(progress=event_pb2.Progress(stage="epoch 1/2"))

    for number in range(120):
        found = event_pb2.SymptomFound(symptom=event_pb2.SYMPTOM_DEAD_UNITS, layer=f"layer{number}")
        job_record.apply(job, event_pb2.JobEvent(symptom_found=found))

    assert [one.layer for one in job.symptoms] == [f"layer{number}" for number in range(100)]
    assert job.progress.stage == "epoch 1/2"
