"""What an ensemble in a training request becomes: a job for each member, and one that combines what they have made."""

from collections.abc import Sequence

from cultivar.v1 import training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.memory import parameter_count
from cultivar_service.errors import InvalidRequest

MAX_PARAMETERS = 400_000_000
"""Of all members together. One ONNX file holds at most 2 GiB, four bytes for each and what lies around them."""
_MAX_SEED = 2**63 - 1


def wants_ensemble(recipe: pb.TrainingSpec) -> bool:
    """Tell whether a recipe asks for several members."""
    return recipe.ensemble.members > 1


def member_specs(spec: pb.TrainingSpec, recipe: pb.TrainingSpec) -> list[tuple[pb.TrainingSpec, pb.TrainingSpec]]:
    """Return the spec and the recipe of each member's job.

    They differ in their seeds, and with BOOTSTRAP also in their training images. They don't go live by themselves, and
    read no test data.

    Args:
        spec: as it was sent.
        recipe: the spec with every field resolved.

    Raises:
        InvalidRequest: their seeds would be larger than a seed can be.
    """
    bootstrap = recipe.ensemble.sampling == pb.ENSEMBLE_SAMPLING_BOOTSTRAP
    first = recipe.data.bootstrap_seed if recipe.data.HasField("bootstrap_seed") else recipe.seed
    for path, seed in (("spec.seed", recipe.seed), ("spec.data.bootstrap_seed", first)):
        if seed > _MAX_SEED - recipe.ensemble.members:
            raise InvalidRequest.at(path, f"{seed} leaves no seeds for {recipe.ensemble.members} members: use less")
    found = []
    for number in range(recipe.ensemble.members):
        pair = pb.TrainingSpec(), pb.TrainingSpec()
        for whole, own in zip((spec, recipe), pair, strict=True):
            own.CopyFrom(whole)
            own.ClearField("ensemble")
            own.seed = recipe.seed + number
            own.publish = pb.PUBLISH_POLICY_NEVER
            own.test_evaluation = pb.TEST_EVALUATION_DEFERRED
            if bootstrap:
                own.data.bootstrap_seed = first + number
        found.append(pair)
    return found


def check_size(parameters: int, members: int, field: str) -> None:
    """Check that one graph can hold all members.

    Args:
        parameters: of all members together.
        members: how many there are.
        field: to blame.

    Raises:
        InvalidRequest: it can't.
    """
    if parameters > MAX_PARAMETERS:
        raise InvalidRequest.at(
            field,
            f"{members} members have about {parameters / 1e6:.0f} million parameters together, more than the "
            f"{MAX_PARAMETERS / 1e6:.0f} million that one ONNX file holds: use fewer or smaller ones",
        )


def ensemble_parameters(recipe: pb.TrainingSpec, num_classes: int) -> int:
    """Return about how many parameters all members of a recipe's ensemble have.

    Raises:
        InvalidRequest: more than one graph can hold.
    """
    parameters = recipe.ensemble.members * parameter_count(recipe, num_classes)
    check_size(parameters, recipe.ensemble.members, "spec.ensemble.members")
    return parameters


def explain(recipe: pb.TrainingSpec) -> str:
    """Say which jobs an ensemble's request queues."""
    last = recipe.seed + recipe.ensemble.members - 1
    images = (
        ", each on its own bootstrap sample of the training images"
        if recipe.ensemble.sampling == pb.ENSEMBLE_SAMPLING_BOOTSTRAP
        else ""
    )
    return (
        f"{recipe.ensemble.members} jobs train the members, with seeds {recipe.seed} to {last}{images}; this one waits "
        "for them, averages their probabilities and publishes."
    )


def waits_for(members: Sequence[str]) -> str:
    """Say which jobs a job waits for."""
    more = f" and {len(members) - 3} more" if len(members) > 3 else ""
    return f"{', '.join(members[:3])}{more}"


def of_jobs(members: Sequence[training_pb2.TrainingJob], parameters: int) -> training_pb2.Combination:
    """Return the ensemble of what jobs will have made."""
    return training_pb2.Combination(
        method=training_pb2.COMBINATION_METHOD_ENSEMBLE,
        members=[job.name for job in members],
        parameters=parameters,
    )
