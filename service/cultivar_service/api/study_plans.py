"""Makes of a study's spec what it is going to do: every variant resolved, or every reason why not."""

from collections.abc import Sequence

from cultivar.v1 import dataset_pb2, study_pb2
from cultivar_contract.violations import Violation
from cultivar_service.api.lookup import ready_dataset
from cultivar_service.api.recipes import Recipes
from cultivar_service.catalog.database import Catalog
from cultivar_service.errors import CultivarError, InvalidRequest, NotBuilt
from cultivar_service.studies import comparison, variants
from cultivar_service.studies.comparison import Variant

_SPEC = "spec."


class StudyPlans:
    """Resolves studies."""

    def __init__(self, catalog: Catalog, recipes: Recipes) -> None:
        self._catalog = catalog
        self._recipes = recipes

    async def plan(self, spec: study_pb2.TrainingStudySpec) -> tuple[study_pb2.TrainingStudy, list[Variant]]:
        """Return a study with its warnings and rows, and its resolved variants.

        Raises:
            InvalidRequest, NotBuilt, NotFound, FailedPrecondition: it can't be compared or trained.
        """
        violations = variants.check(spec)
        if variants.is_too_large(spec):
            raise InvalidRequest(violations)
        found: list[Variant] = []
        warnings: list[list[str]] = []
        refusals: list[tuple[study_pb2.StudyVariant, int, CultivarError]] = []
        for number, message in enumerate(spec.variants):
            laid = variants.lay_over(spec.base, message)
            try:
                resolution = await self._recipes.resolve(laid)
            except CultivarError as error:
                refusals.append((message, number, error))
                continue
            found.append(Variant(message=message, spec=laid, recipe=resolution.recipe))
            warnings.append(resolution.warnings)
        if refusals:
            _refuse(violations, refusals, len(spec.variants))
        violations += comparison.check(found, violations)
        if violations:
            raise InvalidRequest(_once(violations))
        recipe = found[0].recipe
        dataset = await ready_dataset(self._catalog, recipe.dataset, "spec.base.dataset")
        assert dataset is not None  # every recipe names one
        return _study(spec, found, warnings, dataset), found


def _study(
    spec: study_pb2.TrainingStudySpec,
    found: Sequence[Variant],
    warnings: Sequence[Sequence[str]],
    dataset: dataset_pb2.Dataset,
) -> study_pb2.TrainingStudy:
    recipe = found[0].recipe
    common = [one for one in warnings[0] if all(one in others for others in warnings)]
    own = [
        f"{variant.name}: {one}"
        for variant, several in zip(found, warnings, strict=True)
        for one in several
        if one not in common
    ]
    return study_pb2.TrainingStudy(
        spec=spec,
        warnings=[
            *comparison.budget_warnings(found, dataset),
            *common,
            *own,
        ],
        rows=comparison.rows(spec.base, found),
        validation_images=comparison.validation_images(recipe, dataset),
    )


def _refuse(
    violations: list[Violation], refusals: Sequence[tuple[study_pb2.StudyVariant, int, CultivarError]], count: int
) -> None:
    """Raise what is wrong with a study's recipes, at the fields of its own spec.

    Raises:
        CultivarError: of the first refusal's kind where all are of one, else InvalidRequest.
    """
    is_wrong = bool(violations)
    told = [(message, number, one) for message, number, error in refusals for one in error.violations]
    everywhere = {
        (one.field, one.message)
        for _, _, one in told
        if sum((one.field, one.message) == (other.field, other.message) for _, _, other in told) == count
    }
    for message, number, one in told:
        path = one.field.removeprefix(_SPEC)
        if path in variants.changed_paths(message):
            violations.append(Violation(field=f"spec.variants[{number}].changes.{path}", message=one.message))
        elif (one.field, one.message) in everywhere:
            violations.append(Violation(field=f"spec.base.{path}", message=one.message))
        else:
            text = f"in variant {message.variant!r}: {one.message}"
            violations.append(Violation(field=f"spec.base.{path}", message=text))
    errors = [error for _, _, error in refusals]
    violations = _once(violations)
    if is_wrong or len({error.reason for error in errors}) > 1 or isinstance(errors[0], InvalidRequest):
        raise InvalidRequest(violations)
    if isinstance(errors[0], NotBuilt):
        raise NotBuilt(violations)
    errors[0].violations = tuple(violations)
    raise errors[0]


def _once(violations: Sequence[Violation]) -> list[Violation]:
    return list(dict.fromkeys(violations))
