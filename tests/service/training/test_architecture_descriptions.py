"""Describing architectures in a process of their own."""

from pathlib import Path

from running_service import make_config, refused, running

from cultivar.v1 import architecture_pb2, training_spec_pb2


async def test_a_description_is_made_once(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        request = architecture_pb2.DescribeArchitectureRequest(name="resnet18", num_classes=7)
        first = await client.training.DescribeArchitecture(request)
        again = await client.training.DescribeArchitecture(request)

        assert (first.parameters, first.num_classes, first.input_size) == (42, 7, 224)
        assert again == first
        assert not list((tmp_path / "data/scratch").iterdir())


async def test_a_description_has_a_deadline(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", describe_deadline_s=0.5)) as (_, client):
        request = architecture_pb2.DescribeArchitectureRequest(name="lenet5")

        refusal = await refused(client.training.DescribeArchitecture(request))

        assert (refusal.code, refusal.reason) == ("DEADLINE_EXCEEDED", "DESCRIBE_TIMEOUT")
        assert not list((tmp_path / "data/scratch").iterdir())


async def test_what_can_not_be_described_is_refused(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):

        async def refusal(**fields: object) -> tuple[str, list[str]]:
            request = architecture_pb2.DescribeArchitectureRequest(**fields)
            found = await refused(client.training.DescribeArchitecture(request))
            return found.code, found.fields

        assert await refusal(name="resnet19") == ("NOT_FOUND", ["name"])
        assert await refusal() == ("INVALID_ARGUMENT", ["name"])
        assert await refusal(name="lenet5", num_classes=1) == ("INVALID_ARGUMENT", ["num_classes"])
        assert await refusal(name="resnet18", input_size=8) == ("INVALID_ARGUMENT", ["input_size"])
        assert await refusal(name="lenet5", mode=99) == ("INVALID_ARGUMENT", ["mode"])
        cifar = training_spec_pb2.STEM_CIFAR
        assert await refusal(name="lenet5", stem=cifar) == ("INVALID_ARGUMENT", ["stem"])
        network = training_spec_pb2.NetworkSpec(head_dropout=2.0)
        wrong = await refusal(name="resnet18", network=network, input_size=8, batch_size=0)
        assert wrong == ("INVALID_ARGUMENT", ["network.head_dropout", "input_size", "batch_size"])


async def test_a_description_that_fails_may_be_asked_for_again(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="crash")) as (_, client):
        request = architecture_pb2.DescribeArchitectureRequest(name="lenet5")

        refusal = await refused(client.training.DescribeArchitecture(request))

        assert (refusal.code, refusal.reason, refusal.retry_s) == ("UNAVAILABLE", "TRAINER_LOST", 5)
        assert not list((tmp_path / "data/scratch").iterdir())


async def test_a_layer_is_calculated_without_a_trainer_and_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, trainer_command=("/nonexistent",))) as (_, client):
        conv = architecture_pb2.LAYER_KIND_CONV
        request = architecture_pb2.CalculateLayerRequest(
            kind=conv, input_size=[78, 84], kernel=[5], stride=[3], padding=[2]
        )
        answer = await client.training.CalculateLayer(request)
        wrong = architecture_pb2.CalculateLayerRequest(input_size=[0], kernel=[5, 5, 5])
        refusal = await refused(client.training.CalculateLayer(wrong))

        assert list(answer.output_size) == [26, 28]
        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ["kind", "input_size", "kernel"])


async def test_networks_and_fields_are_listed_without_a_trainer(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        listed = await client.training.ListArchitectures(architecture_pb2.ListArchitecturesRequest())

        names = [one.name for one in listed.architectures]
        assert names == sorted(names)
        assert "mobilenet_v2" in names
