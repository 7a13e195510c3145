"""When waiting jobs are expected to start."""

import math

from running_service import QUEUED, SUCCEEDED, make_spec

from cultivar.v1 import training_pb2
from cultivar_service.training.outlook import Forecast, epoch_seconds, estimate, forecast

SECOND_NS = 10**9


def job(name: str, *, epochs: int = 2, architecture: str = "lenet5") -> training_pb2.TrainingJob:
    recipe = make_spec(epochs=epochs, architecture=architecture)
    return training_pb2.TrainingJob(name=f"trainingJobs/{name}", state=QUEUED, recipe=recipe)


def finished(seconds: float, *, epochs: int) -> training_pb2.TrainingJob:
    ended = job("done", epochs=epochs)
    ended.state, ended.run_seconds = SUCCEEDED, seconds
    return ended


def test_an_estimate_comes_from_the_epochs_of_jobs_like_it() -> None:
    epoch_s = epoch_seconds([finished(20, epochs=2), finished(40, epochs=2)])

    assert estimate(job("a", epochs=4), epoch_s) == 60
    assert estimate(job("a", architecture="mlp"), epoch_s) == math.inf


def test_jobs_start_when_those_before_them_have_ended() -> None:
    epoch_s = epoch_seconds([finished(20, epochs=2)])
    waiting = [job("a"), job("b", epochs=1), job("c")]

    one_place = forecast(waiting, epoch_s, [5.0], now_ns=0)
    two_places = forecast(waiting, epoch_s, [5.0, 7.0], now_ns=0)

    assert one_place == {
        "a": Forecast(1, 5 * SECOND_NS),
        "b": Forecast(2, 25 * SECOND_NS),
        "c": Forecast(3, 35 * SECOND_NS),
    }
    assert [one.start_ns for one in two_places.values()] == [5 * SECOND_NS, 7 * SECOND_NS, 17 * SECOND_NS]


def test_behind_a_job_of_unknown_length_nothing_is_told() -> None:
    found = forecast([job("a", architecture="mlp"), job("b")], {}, [5.0], now_ns=0)

    assert found == {"a": Forecast(1, 5 * SECOND_NS), "b": Forecast(2, None)}


def test_a_retry_is_not_expected_before_its_time() -> None:
    retried = job("a")
    retried.retry_time.FromSeconds(60)

    assert forecast([retried], {}, [], now_ns=0)["a"].start_ns == 60 * SECOND_NS
