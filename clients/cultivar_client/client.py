"""The client of programs: one object with every call of the service."""

from cultivar_client.datasets import DatasetCalls
from cultivar_client.models import ModelCalls
from cultivar_client.studies import StudyCalls
from cultivar_client.training import TrainingCalls
from cultivar_client.uploads import UploadCalls


class Client(DatasetCalls, UploadCalls, TrainingCalls, StudyCalls, ModelCalls):
    """Every call of a Cultivar service, over one connection.

    async with Client("127.0.0.1:50051") as client:
        job = await client.create_training_job({"dataset": "flowers", "architecture": "lenet5", "mode": "scratch"})
        async for event in client.watch_training_job(job.name):
            print(event)

    A service that asks for it gets a token, over TLS: Client("host:443", token=..., tls=Tls(ca=Path("ca.pem"))).

    Calls take plain values and answer with the API's messages. Each unary call ends within `timeout_s` seconds unless
    it is given another `timeout_s`. Every call raises `CultivarError` where the service refuses it or can't be reached.
    """
