"""From a client's training spec to a recipe: every field resolved, or every reason why not.

A recipe is a TrainingSpec with all fields set that have a meaning beside each other: the client's message, the
trainer's input and the manifest's record are one type, so that nothing is lost on the way.
"""

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.recipe import data, images, learning, network, vocabulary
from cultivar_contract.recipe.facts import DatasetFacts, Facts, NetworkFacts, Resolution, SourceFacts

__all__ = ["DatasetFacts", "Facts", "NetworkFacts", "Resolution", "SourceFacts", "resolve", "resolve_network"]


def resolve(spec: pb.TrainingSpec, facts: Facts) -> Resolution:
    """Fill in every default and check every field.

    Args:
        spec: what the client sent.
        facts: what is known of the world.
    """
    resolution = _begin(spec)
    architecture = vocabulary.architecture(resolution)
    if architecture is None:
        return resolution
    network.inherit(resolution, facts.source)
    vocabulary.fill_defaults(resolution, architecture)
    network.check(resolution, architecture)
    network.check_weights(resolution, architecture, facts)
    network.check_built(resolution, facts.network)
    images.check(resolution)
    learning.check(resolution)
    if facts.dataset is not None:
        data.check(resolution, facts.dataset)
        learning.warn(resolution)
    return resolution


def resolve_network(spec: pb.TrainingSpec, facts: Facts) -> Resolution:
    """Resolve what a description of a network needs: its name, mode and shape; data and weights may be missing."""
    resolution = _begin(spec)
    architecture = vocabulary.architecture(resolution)
    if architecture is not None:
        vocabulary.fill_defaults(resolution, architecture)
        network.check(resolution, architecture)
        network.check_built(resolution, facts.network)
    return resolution


def _begin(spec: pb.TrainingSpec) -> Resolution:
    resolution = Resolution(recipe=pb.TrainingSpec())
    resolution.recipe.CopyFrom(spec)
    vocabulary.check(resolution)
    return resolution
