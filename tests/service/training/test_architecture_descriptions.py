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
        assert await refusal(name="lenet5", input_size=8) == ("INVALID_ARGUMENT", ["input_size"])
        assert await refusal(name="lenet5", mode=99) == ("INVALID_ARGUMENT", ["mode"])
        cifar, gradual = training_spec_pb2.STEM_CIFAR, training_spec_pb2.FINE_TUNING_MODE_GRADUAL
        assert await refusal(name="lenet5", stem=cifar) == ("INVALID_ARGUMENT", ["stem"])
        assert await refusal(name="lenet5", mode=gradual) == ("UNIMPLEMENTED", ["mode"])


async def test_networks_and_fields_are_listed_without_a_trainer(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        listed = await client.training.ListArchitectures(architecture_pb2.ListArchitecturesRequest())

        names = [one.name for one in listed.architectures]
        assert names == sorted(names)
        assert "mobilenet_v2" in names
