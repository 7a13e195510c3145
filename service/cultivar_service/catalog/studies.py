"""Records of training studies and their events. A study's record only ever changes together with its log."""

from collections.abc import Callable, Collection, Sequence

import sqlalchemy as sa

from cultivar.v1 import study_pb2
from cultivar_service.catalog.paging import Page, PageRequest, cut
from cultivar_service.catalog.study_record import FINAL, RUNNING, STUDIES, UNDER_WAY, enter, identifier
from cultivar_service.catalog.tables import studies, study_events

Study = study_pb2.TrainingStudy
Edit = Callable[[Study], Sequence[study_pb2.StudyEvent]]
"""Changes a record and returns what happened to it, in order."""


def insert(connection: sa.Connection, study: Study, *, request_id: str, request_digest: str) -> Study:
    """Add a study in state RUNNING, with its first event."""
    rows = _numbered(study, [enter(study, RUNNING)])
    connection.execute(
        studies.insert().values(
            id=identifier(study),
            state=study.state,
            creator=study.creator,
            request_id=request_id or None,
            request_digest=request_digest,
            resource=study.SerializeToString(),
        )
    )
    connection.execute(study_events.insert(), rows)
    return study


def get(connection: sa.Connection, study_id: str) -> Study | None:
    """Return a study."""
    resource = connection.execute(sa.select(studies.c.resource).where(studies.c.id == study_id)).scalar()
    return None if resource is None else Study.FromString(resource)


def by_request_id(connection: sa.Connection, request_id: str) -> tuple[Study, str] | None:
    """Return the study that a request made, and the request's digest."""
    query = sa.select(studies.c.resource, studies.c.request_digest).where(studies.c.request_id == request_id)
    row = connection.execute(query).first()
    return None if row is None else (Study.FromString(row[0]), str(row[1]))


def newest(connection: sa.Connection, study_id: str) -> tuple[int, int] | None:
    """Return a study's state and the number of its newest event, without reading the rest of its record."""
    last = sa.select(sa.func.max(study_events.c.number)).where(study_events.c.study == study_id).scalar_subquery()
    row = connection.execute(sa.select(studies.c.state, last).where(studies.c.id == study_id)).first()
    return None if row is None else (int(row[0]), int(row[1] or 0))


def page(connection: sa.Connection, request: PageRequest, creator: str) -> Page[Study]:
    """Return a page of studies, newest first: of all creators where none is named."""
    query = sa.select(studies.c.sequence, studies.c.resource).order_by(studies.c.sequence.desc())
    query = query.limit(request.size + 1)
    if creator:
        query = query.where(studies.c.creator == creator)
    if (before := request.number()) is not None:
        query = query.where(studies.c.sequence < before)
    rows = ((str(row[0]), bytes(row[1])) for row in connection.execute(query))
    return cut(rows, request, Study.FromString)


def in_states(connection: sa.Connection, states: Collection[int]) -> list[Study]:
    """Return all studies in these states, oldest first."""
    query = sa.select(studies.c.resource).where(studies.c.state.in_(states)).order_by(studies.c.sequence)
    return [Study.FromString(resource) for resource in connection.execute(query).scalars()]


def identifiers(connection: sa.Connection) -> list[str]:
    """Return the bare identifiers of all studies."""
    return [str(one) for one in connection.execute(sa.select(studies.c.id).order_by(studies.c.sequence)).scalars()]


def counts(connection: sa.Connection) -> dict[int, int]:
    """Return the number of studies in each state that has any."""
    query = sa.select(studies.c.state, sa.func.count()).group_by(studies.c.state)
    return {int(row[0]): int(row[1]) for row in connection.execute(query)}


def is_under_way(connection: sa.Connection, name: str) -> bool:
    """Tell whether a study, by its full name, is there and not over."""
    state = connection.execute(sa.select(studies.c.state).where(studies.c.id == name.removeprefix(STUDIES))).scalar()
    return state is not None and state not in FINAL


def user_of_version(connection: sa.Connection, name: str) -> str:
    """Return the name of a study under way that compares a model version, or any of a model; empty: there is none."""
    for study in in_states(connection, UNDER_WAY):
        made = (trial.model_version for trial in study.trials)
        if any(one == name or one.startswith(f"{name}/") for one in made):
            return study.name
    return ""


def delete(connection: sa.Connection, study_id: str) -> None:
    """Delete a study and its events."""
    connection.execute(studies.delete().where(studies.c.id == study_id))


def events_after(connection: sa.Connection, study_id: str, number: int, limit: int) -> list[study_pb2.StudyEvent]:
    """Return the next events after one, in order."""
    query = (
        sa.select(study_events.c.payload)
        .where(study_events.c.study == study_id, study_events.c.number > number)
        .order_by(study_events.c.number)
        .limit(limit)
    )
    return [study_pb2.StudyEvent.FromString(payload) for payload in connection.execute(query).scalars()]


def change(connection: sa.Connection, study_id: str, edit: Edit) -> Study:
    """Change a study's record and add what happened to its log; nothing where nothing happened."""
    study = get(connection, study_id)
    assert study is not None, study_id
    happened = edit(study)
    if happened:
        connection.execute(study_events.insert(), _numbered(study, happened))
        values = {"state": study.state, "resource": study.SerializeToString()}
        connection.execute(studies.update().where(studies.c.id == study_id).values(**values))
    return study


def _numbered(study: Study, happened: Sequence[study_pb2.StudyEvent]) -> list[dict[str, object]]:
    """Number events, and return their rows."""
    rows: list[dict[str, object]] = []
    for event in happened:
        study.last_event += 1
        event.number = study.last_event
        rows.append({"study": identifier(study), "number": event.number, "payload": event.SerializeToString()})
    return rows
