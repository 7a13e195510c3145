"""Describes architectures by building them in a short-lived trainer process, and remembers the descriptions."""

from collections import OrderedDict

from google.protobuf import json_format

from cultivar.v1 import architecture_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.recipe import Facts, NetworkFacts, Resolution, resolve_network
from cultivar_contract.recipe.network import check_built
from cultivar_contract.tasks import DescribeRequest
from cultivar_service.trainers.calls import Calls

_MAX_REMEMBERED = 64
FACTS_DEADLINE_S = 40.0
"""Seconds that one description may take where it only checks a spec; a spec needs three at most."""


class Descriptions:
    """Descriptions that were asked for lately, and how to make others."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._remembered: OrderedDict[DescribeRequest, architecture_pb2.ArchitectureDescription] = OrderedDict()

    async def describe(
        self, request: DescribeRequest, *, deadline_s: float | None = None
    ) -> architecture_pb2.ArchitectureDescription:
        """Return one network's description.

        Raises:
            TrainerNotInstalled, QueueFull, DeadlineExceeded, Unavailable, FailedPrecondition: it can't be made.
        """
        if request not in self._remembered:
            what = f"describing {request.spec().architecture}"
            done = await self._calls.result(request, what=what, deadline_s=deadline_s)
            self._remembered[request] = json_format.ParseDict(
                done.value, architecture_pb2.ArchitectureDescription(), ignore_unknown_fields=True
            )
        self._remembered.move_to_end(request)
        while len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return self._remembered[request]

    async def network_facts(self, recipe: pb.TrainingSpec, num_classes: int) -> NetworkFacts | None:
        """Return what a recipe's checks need to know of its built network; None where they need nothing.

        Raises:
            TrainerNotInstalled, QueueFull, DeadlineExceeded, Unavailable, FailedPrecondition: it can't be found out.
        """
        asks_for_parts = recipe.mode == pb.FINE_TUNING_MODE_LAST_BLOCKS or recipe.retain_blocks or recipe.trainable
        one_by_one = _learns_from_single_images(recipe)
        if not (asks_for_parts or one_by_one):
            return None
        asked = _network_of(recipe)
        facts: NetworkFacts | None = None
        if asks_for_parts:
            # First where all learns: such a network can be built, whatever the recipe says wrongly of its parts.
            plain = _network_of(recipe, mode=pb.FINE_TUNING_MODE_FULL)
            facts = await self._facts(plain, num_classes)
            if facts is not None and 0 < recipe.retain_blocks <= facts.block_count:
                plain.retain_blocks = recipe.retain_blocks
                facts = await self._facts(plain, num_classes)
            if facts is None or not one_by_one or _contradict(recipe, facts):
                return facts
            for name in ("last_blocks", "retain_blocks"):
                if recipe.HasField(name):
                    setattr(asked, name, getattr(recipe, name))
            asked.trainable.extend(recipe.trainable)
        return await self._facts(asked, num_classes, with_batch_norms=True) or facts

    async def _facts(
        self, spec: pb.TrainingSpec, num_classes: int, *, with_batch_norms: bool = False
    ) -> NetworkFacts | None:
        resolution = resolve_network(spec, Facts())
        if resolution.violations:
            # What is wrong with the shape is told without a network; its parts are then those of the published one.
            resolution = resolve_network(pb.TrainingSpec(architecture=spec.architecture, mode=spec.mode), Facts())
        if resolution.violations or resolution.unbuilt:
            return None
        found = await self.describe(request_for(resolution, num_classes), deadline_s=FACTS_DEADLINE_S)
        learning = (layer.name for layer in found.layers if layer.trainable and layer.kind.startswith("BatchNorm"))
        return NetworkFacts(
            parameter_names=tuple(found.parameter_names),
            block_count=sum(block.last_blocks > 0 for block in found.blocks),
            learning_batch_norms=tuple(learning) if with_batch_norms else (),
        )


def request_for(resolution: Resolution, num_classes: int, batch_size: int = 1) -> DescribeRequest:
    """Make the trainer's request of a resolved network."""
    recipe = json_format.MessageToJson(resolution.recipe, indent=None, sort_keys=True)
    return DescribeRequest(recipe_json=recipe, num_classes=num_classes, batch_size=batch_size)


def _learns_from_single_images(recipe: pb.TrainingSpec) -> bool:
    """Tell whether BatchNorm layers that learn might get one image at a time."""
    architecture = ARCHITECTURES.get(recipe.architecture)
    if architecture is None or not (architecture.batch_norm or recipe.network.batch_norm):
        return False
    frozen = recipe.mode == pb.FINE_TUNING_MODE_HEAD and not recipe.trainable
    return not frozen and 1 in (recipe.batch_size, recipe.execution.micro_batch)


def _network_of(recipe: pb.TrainingSpec, mode: pb.FineTuningMode | None = None) -> pb.TrainingSpec:
    """Return the part of a recipe that says how its network is built, without what of it is kept and learns."""
    spec = pb.TrainingSpec(architecture=recipe.architecture, mode=mode or recipe.mode, network=recipe.network)
    for name in ("size", "channels"):
        if recipe.input.HasField(name):
            setattr(spec.input, name, getattr(recipe.input, name))
    return spec


def _contradict(recipe: pb.TrainingSpec, facts: NetworkFacts) -> bool:
    resolution = Resolution(recipe=recipe)
    check_built(resolution, facts)
    return bool(resolution.violations)
