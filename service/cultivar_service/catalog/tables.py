"""The catalog's tables as queries name them; migrations.py makes them."""

import sqlalchemy as sa

datasets = sa.table(
    "datasets",
    *(
        sa.column(name)
        for name in (
            "sequence",
            "dataset",
            "import_id",
            "version",
            "state",
            "digest",
            "resolved_to",
            "request_id",
            "request_digest",
            "resource",
        )
    ),
)
jobs = sa.table(
    "jobs",
    *(
        sa.column(name)
        for name in (
            "sequence",
            "id",
            "state",
            "dataset",
            "request_id",
            "request_digest",
            "resource",
            "creator",
            "priority",
            "queued_ns",
            "retry_ns",
            "held",
        )
    ),
)
studies = sa.table(
    "studies",
    *(sa.column(name) for name in ("sequence", "id", "state", "creator", "request_id", "request_digest", "resource")),
)
study_events = sa.table("study_events", *(sa.column(name) for name in ("study", "number", "payload")))
uploads = sa.table(
    "uploads",
    *(
        sa.column(name)
        for name in (
            "id",
            "state",
            "creator",
            "size_bytes",
            "expire_ns",
            "request_id",
            "request_digest",
            "resource",
        )
    ),
)
memory_peaks = sa.table("memory_peaks", *(sa.column(name) for name in ("shape", "gpu_bytes", "host_bytes", "time_ns")))
events = sa.table("events", *(sa.column(name) for name in ("job", "number", "payload")))
event_offsets = sa.table("event_offsets", *(sa.column(name) for name in ("job", "attempt", "offset")))
models = sa.table("models", *(sa.column(name) for name in ("name", "create_time_ns")))
versions = sa.table(
    "versions",
    *(sa.column(name) for name in ("model", "version", "state", "job", "went_live", "publish_reason", "resource")),
)
aliases = sa.table("aliases", *(sa.column(name) for name in ("model", "alias", "version")))
alias_history = sa.table(
    "alias_history",
    *(sa.column(name) for name in ("sequence", "model", "alias", "version", "time_ns", "reason", "before", "actor")),
)

evaluations = sa.table(
    "evaluations",
    *(sa.column(name) for name in ("split_digest", "model_digest", "classes", "split", "time_ns", "resource")),
)

audit = sa.table(
    "audit",
    *(
        sa.column(name)
        for name in ("sequence", "time_ns", "request_id", "caller", "peer", "method", "resource", "code")
    ),
)


def next_version(connection: sa.Connection, kind: str, name: str) -> int:
    """Take the next version number of a data set or a model."""
    return int(
        connection.exec_driver_sql(
            "INSERT INTO version_counters VALUES (?, ?, 1) "
            "ON CONFLICT (kind, name) DO UPDATE SET last = last + 1 RETURNING last",
            (kind, name),
        ).scalar_one()
    )
