"""The client against a small service: pages, retries, resumed streams, errors."""

import asyncio

import pytest
from fake_cultivar import FakeCultivar, epoch, serving

from cultivar.v1 import dataset_pb2
from cultivar_client import Client, CultivarError


@pytest.fixture
def fake():
    with serving(FakeCultivar()) as fake:
        yield fake


def call(fake, work, **options):
    async def session():
        async with Client(fake.address, **options) as client:
            return await work(client)

    return asyncio.run(session())


async def collect(items):
    return [item async for item in items]


def test_a_list_goes_through_all_pages(fake):
    jobs = call(fake, lambda client: collect(client.list_training_jobs()))

    assert [job.name for job in jobs] == [f"trainingJobs/{number}" for number in range(6)]
    assert [request.page_token for request in fake.requests] == ["", "1", "2"]


def test_the_token_goes_with_every_call(fake):
    call(fake, lambda client: client.get_training_job("trainingJobs/1"), token="secret")

    assert fake.metadata["authorization"] == "Bearer secret"


def test_a_create_is_repeated_with_the_same_request_id(fake):
    fake.unavailable_answers = 1

    call(fake, lambda client: client.create_training_job({"mode": "head"}))

    assert len(fake.requests) == 2
    assert fake.requests[0].request_id == fake.requests[1].request_id != ""


def test_a_large_prediction_is_repeated_too(fake):
    fake.unavailable_answers = 1

    call(fake, lambda client: client.predict("flowers", [bytes(1_000_000)]))

    assert len(fake.requests) == 2


async def batches_of(*batches, then=None):
    for batch in batches:
        yield batch
    if then is not None:
        raise then


def test_a_stream_of_batches_is_answered_in_order(fake):
    batches = batches_of([b"jpeg"], [b"broken", b"jpeg"])

    answers = call(fake, lambda client: collect(client.predict_stream("flowers", batches, top_k=1)), token="secret")

    assert [answer.id for answer in answers] == ["0", "1"]
    assert [len(answer.response.results) for answer in answers] == [1, 2]
    assert [request.top_k for request in fake.requests] == [1, 1]
    assert fake.metadata["authorization"] == "Bearer secret"


def test_an_error_of_the_batches_reaches_who_asked_for_answers(fake):
    batches = batches_of([b"jpeg"], then=OSError("the disk is gone"))

    with pytest.raises(OSError, match="the disk is gone"):
        call(fake, lambda client: collect(client.predict_stream("flowers", batches)))


def test_a_delete_is_not_repeated(fake):
    fake.unavailable_answers = 1

    with pytest.raises(CultivarError) as caught:
        call(fake, lambda client: client.delete_training_job("trainingJobs/1"))

    assert caught.value.code == "UNAVAILABLE"
    assert len(fake.requests) == 1


def test_an_error_carries_what_the_service_said(fake):
    with pytest.raises(CultivarError) as caught:
        call(fake, lambda client: client.create_training_job({"architecture": "resnet19"}))

    error = caught.value
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_SPEC")
    assert error.message == "the spec has 1 mistake"
    assert error.field_violations == [("spec.architecture", "resnet19 is unknown: choose resnet18")]
    assert error.metadata == {"limit": "4"}
    assert error.__cause__.details() == "the spec has 1 mistake"


def test_an_unreachable_service_is_named_with_the_way_to_start_it(fake):
    fake.address = "127.0.0.1:1"

    with pytest.raises(CultivarError, match=r"no service answers at 127.0.0.1:1 .* `cultivar-service`"):
        call(fake, lambda client: client.delete_training_job("1"))


def test_a_closed_client_says_how_to_open_it():
    with pytest.raises(RuntimeError, match="async with Client"):
        asyncio.run(Client().get_model("flowers"))


def test_watching_goes_on_after_the_last_event_seen(fake):
    fake.events = [epoch(number) for number in range(1, 6)]
    fake.break_after = 3

    events = call(fake, lambda client: collect(client.watch_training_job("trainingJobs/1")))

    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [request.after_event for request in fake.requests] == [0, 3]


def test_watching_can_start_after_an_event(fake):
    fake.events = [epoch(number) for number in range(1, 6)]

    events = call(fake, lambda client: collect(client.watch_training_job("trainingJobs/1", after_event=3)))

    assert [event.number for event in events] == [4, 5]


def test_a_silent_watch_is_opened_again_and_heartbeats_are_no_events(fake):
    fake.events = [epoch(number) for number in range(1, 6)]
    fake.silent_after = 3

    events = call(fake, lambda client: collect(client.watch_training_job("trainingJobs/1", heartbeat_s=0.05)))

    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [request.after_event for request in fake.requests] == [0, 3]


def test_a_log_goes_on_in_the_attempt_where_it_broke(fake):
    chunks = call(fake, lambda client: collect(client.stream_logs("trainingJobs/1", follow=True)))

    assert [chunk.text for chunk in chunks] == ["one\n", "two\n", "one\n"]
    assert [(request.HasField("attempt"), request.attempt, request.offset) for request in fake.requests] == [
        (False, 0, 0),
        (True, 2, 4),
    ]


def test_waiting_for_a_data_set_survives_a_restart_and_ends_when_it_is_ready(fake):
    ready = dataset_pb2.Dataset(name="datasets/flowers/versions/1", state=dataset_pb2.DATASET_STATE_READY)
    fake.imports = [dataset_pb2.Dataset(state=dataset_pb2.DATASET_STATE_IMPORTING), None, ready]

    seen = call(fake, lambda client: collect(client.wait_for_dataset("x", poll_interval_s=0.01)))

    assert seen[-1] == ready
    assert len(seen) == 2
