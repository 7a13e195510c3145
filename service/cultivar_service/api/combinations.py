"""The part of ModelService that makes one version of several."""

import hashlib

from cultivar.v1 import model_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.names import NAME_RULE, is_name
from cultivar_contract.violations import Violation
from cultivar_service.api.fields import check_request_id
from cultivar_service.api.members import Member, Members, differences
from cultivar_service.caller import Caller
from cultivar_service.catalog import datasets
from cultivar_service.catalog.database import Catalog
from cultivar_service.errors import FailedPrecondition, InvalidRequest, shown
from cultivar_service.training import combinations
from cultivar_service.training.job_creation import JobCreation

_FEWEST, _MOST = 2, 32


class CombinationApi:
    """Answers what ModelService says of combinations."""

    def __init__(self, catalog: Catalog, creation: JobCreation, members: Members) -> None:
        self._catalog = catalog
        self._creation = creation
        self._members = members

    async def combine_models(self, request: model_pb2.CombineModelsRequest, caller: Caller) -> training_pb2.TrainingJob:
        """Queue a job that makes an ensemble or a soup."""
        request_id = check_request_id(request.request_id)
        _check(request)
        digest = _digest(request)
        if (first := await self._creation.find_made(digest, request_id)) is not None:
            return first
        found = [await self._members.find(text, f"members[{number}]") for number, text in enumerate(request.members)]
        if violations := differences(found, request.method):
            raise InvalidRequest(violations)
        parameters = sum(member.parameters for member in found)
        combinations.check_size(parameters, len(found), "members")
        return await self._creation.create(
            pb.TrainingSpec(model=request.model, publish=request.publish, test_evaluation=request.test_evaluation),
            await self._recipe(request, found),
            [],
            request_id,
            creator=caller.name,
            combination=training_pb2.Combination(
                method=request.method, members=[member.name for member in found], parameters=parameters
            ),
            digest=digest,
        )

    async def _recipe(self, request: model_pb2.CombineModelsRequest, members: list[Member]) -> pb.TrainingSpec:
        """Return what the members have in common, as the largest one's recipe says it, and what is asked anew."""
        largest = max(members, key=lambda member: member.parameters)
        recipe = pb.TrainingSpec()
        recipe.CopyFrom(largest.recipe)
        for name in ("ensemble", "scheduling"):
            recipe.ClearField(name)
        recipe.data.ClearField("bootstrap_seed")
        recipe.model = request.model
        recipe.publish = request.publish or pb.PUBLISH_POLICY_FIRST_OR_BETTER
        recipe.test_evaluation = request.test_evaluation or pb.TEST_EVALUATION_DEFERRED
        dataset = await self._catalog.read(
            lambda connection: datasets.by_digest(connection, largest.dataset_digest, recipe.dataset)
        )
        if dataset is None:
            raise FailedPrecondition(
                f"{recipe.dataset}, which the members were trained on, is gone: import it again", reason="DATASET_GONE"
            )
        recipe.dataset = dataset
        return recipe


def _check(request: model_pb2.CombineModelsRequest) -> None:
    """Check what a request says by itself.

    Raises:
        InvalidRequest: something can't be used.
    """
    violations = []
    if not is_name(request.model):
        violations.append(Violation(field="model", message=f"{shown(request.model)} can't be a name: {NAME_RULE}"))
    if request.method not in (training_pb2.COMBINATION_METHOD_ENSEMBLE, training_pb2.COMBINATION_METHOD_SOUP):
        violations.append(Violation(field="method", message=f"{request.method} is none: use ENSEMBLE or SOUP"))
    if not _FEWEST <= len(request.members) <= _MOST:
        message = f"names {len(request.members)} members: use {_FEWEST} to {_MOST}"
        violations.append(Violation(field="members", message=message))
    for name, values in (("publish", pb.PublishPolicy), ("test_evaluation", pb.TestEvaluation)):
        if (number := getattr(request, name)) not in values.values():
            known = ", ".join(one.rpartition("_")[2] for one in values.keys()[1:])
            violations.append(Violation(field=name, message=f"{number} is unknown: use one of {known}"))
    if violations:
        raise InvalidRequest(violations)


def _digest(request: model_pb2.CombineModelsRequest) -> str:
    asked = model_pb2.CombineModelsRequest()
    asked.CopyFrom(request)
    asked.ClearField("request_id")
    return hashlib.sha256(b"combine" + asked.SerializeToString(deterministic=True)).hexdigest()
