"""Members of the real trainer become one model that answers, through the command."""

import json

import pytest
from end_to_end_service import TRAIN, RunningService


@pytest.mark.slow
def test_an_ensemble_is_trained_compared_served_and_evaluated(service: RunningService) -> None:
    told = service.cultivar(f"{TRAIN} --model bagged --ensemble 2 --bootstrap --epochs 1")
    picture = next((service.folder / "sources" / "flowers" / "test").rglob("*.*"))
    models = json.loads(service.cultivar("models show bagged/versions/3 --json"))
    job = json.loads(service.cultivar(f"jobs show {models['trainingJob']} --json"))
    answer = json.loads(service.cultivar(f"predict --model bagged {picture} --json"))
    evaluated = service.cultivar("evaluate --model bagged --dataset flowers --split test")
    joined = service.cultivar("combine flowers/versions/1 bagged/versions/1 --model joined --method ensemble")
    refused = service.cultivar("train --dataset flowers --architecture lenet5 --mode full --weights bagged", expect=1)

    assert "combined  acc" in told
    assert models["live"]
    assert models["architecture"] == "ensemble"
    assert len(job["membersCompared"]["members"]) == 2
    assert [one["split"] for one in job["metrics"]] == ["val", "test"]
    assert "models/bagged/versions/3" in json.dumps(answer)
    assert "test" in evaluated
    assert "published models/joined/versions/1 (live" in joined
    assert "is several networks, an ensemble: use one of its members" in refused
