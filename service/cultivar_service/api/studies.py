"""The part of TrainingService that compares several ways to train."""

import time
from collections.abc import AsyncIterator, Callable

import sqlalchemy as sa
from google.protobuf.empty_pb2 import Empty

from cultivar.v1 import event_pb2, study_pb2
from cultivar_service.api.fields import check_heartbeat, check_not_negative, check_request_id
from cultivar_service.api.study_plans import StudyPlans
from cultivar_service.caller import Caller
from cultivar_service.catalog import studies
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.paging import PageRequest
from cultivar_service.catalog.references import parse_study, study_not_found
from cultivar_service.catalog.study_record import FINAL
from cultivar_service.errors import InvalidRequest
from cultivar_service.studies.studies import Studies

_EVENTS_PER_READ = 200


class StudyApi:
    """Answers what TrainingService says of studies."""

    def __init__(self, catalog: Catalog, runner: Studies, plans: StudyPlans) -> None:
        self._catalog = catalog
        self._studies = runner
        self._plans = plans

    async def create_training_study(
        self, request: study_pb2.CreateTrainingStudyRequest, caller: Caller
    ) -> study_pb2.TrainingStudy:
        """Resolve a study; queue its trials, or with validate_only answer its rows and warnings."""
        request_id = check_request_id(request.request_id)
        spec = request.spec
        spec.DiscardUnknownFields()  # which would be kept with every trial, whatever their size
        if not request.validate_only:
            first = await self._studies.find_repeat(spec, request_id)
            if first is not None:
                return first
        study, variants = await self._plans.plan(spec)
        if request.validate_only:
            return study
        return await self._studies.create(study, variants, request_id, creator=caller.name)

    async def get_training_study(
        self, request: study_pb2.GetTrainingStudyRequest, _: Caller
    ) -> study_pb2.TrainingStudy:
        """Answer one study."""
        return await self._studies.get(parse_study(request.name))

    async def list_training_studies(
        self, request: study_pb2.ListTrainingStudiesRequest, caller: Caller
    ) -> study_pb2.ListTrainingStudiesResponse:
        """Answer a page of studies."""
        # Where no token is asked for, nobody has a name, and every study is everybody's.
        creator = caller.name if request.mine else ""
        wanted = PageRequest.parse(request.page_size, request.page_token, f"studies {creator}")
        page = await self._catalog.read(lambda connection: studies.page(connection, wanted, creator))
        return study_pb2.ListTrainingStudiesResponse(training_studies=page.items, next_page_token=page.next_token)

    async def watch_training_study(
        self, request: study_pb2.WatchTrainingStudyRequest, _: Caller
    ) -> AsyncIterator[study_pb2.StudyEvent]:
        """Answer a study's events from a cursor on, until its end."""
        study_id, cursor = parse_study(request.name), check_not_negative(request.after_event, "after_event")
        heartbeat_s = check_heartbeat(request)
        last = (await self._catalog.read(_newest(study_id)))[1]
        if cursor > last:
            raise InvalidRequest.at(
                "after_event", f"{cursor}: trainingStudies/{study_id} has {last} events, use at most that"
            )
        quiet_since = time.monotonic()
        while True:
            changed = self._studies.signals.next(study_id)
            state, last, events = await self._catalog.read(_state_and_events(study_id, cursor))
            for event in events:
                yield event
                cursor = event.number
                quiet_since = time.monotonic()
            if cursor < last:
                continue
            if state in FINAL:
                return
            if not await changed.within(heartbeat_s - (time.monotonic() - quiet_since)):
                heartbeat = study_pb2.StudyEvent(heartbeat=event_pb2.Heartbeat())
                heartbeat.time.GetCurrentTime()
                yield heartbeat
                quiet_since = time.monotonic()

    async def cancel_training_study(
        self, request: study_pb2.CancelTrainingStudyRequest, caller: Caller
    ) -> study_pb2.TrainingStudy:
        """Ask a study to stop."""
        return await self._studies.cancel(await self._own(request.name, caller))

    async def delete_training_study(self, request: study_pb2.DeleteTrainingStudyRequest, caller: Caller) -> Empty:
        """Delete a finished study."""
        await self._studies.delete(await self._own(request.name, caller))
        return Empty()

    async def _own(self, name: str, caller: Caller) -> str:
        """Return the identifier of a study that the caller may change."""
        study_id = parse_study(name)
        study = await self._catalog.read(lambda connection: studies.get(connection, study_id))
        if study is None:
            raise study_not_found(name)
        caller.check_may_change(study.name, study.creator)
        return study_id


def _newest(study_id: str) -> Callable[[sa.Connection], tuple[int, int]]:
    def read(connection: sa.Connection) -> tuple[int, int]:
        newest = studies.newest(connection, study_id)
        if newest is None:  # never there, or deleted while it was watched
            raise study_not_found(f"trainingStudies/{study_id}")
        return newest

    return read


def _state_and_events(
    study_id: str, cursor: int
) -> Callable[[sa.Connection], tuple[int, int, list[study_pb2.StudyEvent]]]:
    def read(connection: sa.Connection) -> tuple[int, int, list[study_pb2.StudyEvent]]:
        state, last = _newest(study_id)(connection)
        events = studies.events_after(connection, study_id, cursor, _EVENTS_PER_READ) if last > cursor else []
        return state, last, events

    return read
