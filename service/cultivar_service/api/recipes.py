"""Makes recipes of the specs that requests bring: one way for single jobs and for the trials of studies."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

from cultivar.v1 import training_spec_pb2 as spec_pb2
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.recipe import Facts, Resolution, SourceFacts, resolve
from cultivar_contract.violations import Violation
from cultivar_service.api.lookup import file_names, missing_dataset, ready_dataset
from cultivar_service.api.weights import WeightSources
from cultivar_service.catalog import datasets
from cultivar_service.catalog.database import Catalog
from cultivar_service.errors import (
    CultivarError,
    FailedPrecondition,
    InvalidRequest,
    NotBuilt,
    NotFound,
    TrainerNotInstalled,
)
from cultivar_service.training.describe import Descriptions

logger = logging.getLogger(__name__)


class Recipes:
    """Resolves specs against data sets, weights and built networks."""

    def __init__(self, catalog: Catalog, sources: WeightSources, descriptions: Descriptions, weights_dir: Path) -> None:
        self._catalog = catalog
        self._sources = sources
        self._descriptions = descriptions
        self._weights_dir = weights_dir

    async def resolve(self, spec: spec_pb2.TrainingSpec) -> Resolution:
        """Return a spec's recipe; violations name its fields as `spec.epochs`.

        Raises:
            InvalidRequest, NotBuilt, NotFound, FailedPrecondition: it has none.
        """
        dataset = await ready_dataset(self._catalog, spec.dataset, "spec.dataset")
        weight_files = await asyncio.to_thread(file_names, self._weights_dir)
        source, refusal = await self._source(spec, weight_files)
        facts = Facts(
            dataset=None if dataset is None else datasets.facts(dataset), weight_files=weight_files, source=source
        )
        resolution = await self._with_network(spec, facts, resolve(spec, facts))
        violations = [_in_spec(one) for one in resolution.violations]
        unbuilt = [_in_spec(one) for one in resolution.unbuilt]
        if refusal is not None:
            # The check without a source calls the name unknown; the refusal knows better.
            violations = [one for one in violations if one.field != "spec.weights"]
            if not violations and dataset is not None:
                raise refusal
            violations += refusal.violations
        if dataset is None:
            violations.insert(0, missing_dataset("spec.dataset"))
        if violations:
            raise InvalidRequest(violations + unbuilt)
        if unbuilt:
            raise NotBuilt(unbuilt)
        return resolution

    async def _source(
        self, spec: spec_pb2.TrainingSpec, weight_files: list[str]
    ) -> tuple[SourceFacts | None, CultivarError | None]:
        if spec.mode == spec_pb2.FINE_TUNING_MODE_SCRATCH:
            return None, None  # takes none, which the spec's own check says
        try:
            return await self._sources.find(spec, weight_files, "spec.weights"), None
        except (NotFound, FailedPrecondition) as error:
            return None, error

    async def _with_network(self, spec: spec_pb2.TrainingSpec, facts: Facts, resolution: Resolution) -> Resolution:
        """Resolve again with what the built network tells, where a check needs it and a trainer can build it."""
        recipe = resolution.recipe
        if resolution.unbuilt or facts.dataset is None or recipe.architecture not in ARCHITECTURES:
            return resolution
        num_classes = max(2, len(recipe.data.classes) or len(facts.dataset.class_ids))
        try:
            network = await self._descriptions.network_facts(recipe, num_classes)
        except TrainerNotInstalled:
            return resolution
        except CultivarError as error:
            logger.warning("a spec's network could not be built: %s", error.message)
            resolution.warnings.append(
                f"The network was not built beforehand ({error.message[:200]}): what needs that is checked by the job."
            )
            return resolution
        return resolution if network is None else resolve(spec, replace(facts, network=network))


def _in_spec(violation: Violation) -> Violation:
    return Violation(field=f"spec.{violation.field}", message=violation.message)
