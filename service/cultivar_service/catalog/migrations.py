"""The catalog's schema, as the numbered steps that led to it. Steps are only ever added."""

import sqlalchemy as sa

from cultivar_service.errors import StartupRefused

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # An import and the version that it becomes are one row; `resolved_to` is the row of the version with equal
        # content, which then stands for both.
        """CREATE TABLE datasets (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            dataset TEXT NOT NULL,
            import_id TEXT NOT NULL UNIQUE,
            version INTEGER,
            state INTEGER NOT NULL,
            digest TEXT,
            resolved_to INTEGER REFERENCES datasets (sequence) ON DELETE CASCADE,
            request_id TEXT UNIQUE,
            request_digest TEXT NOT NULL,
            resource BLOB NOT NULL,
            UNIQUE (dataset, version)
        )""",
        """CREATE TABLE jobs (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            state INTEGER NOT NULL,
            dataset TEXT NOT NULL,
            request_id TEXT UNIQUE,
            request_digest TEXT NOT NULL,
            resource BLOB NOT NULL
        )""",
        "CREATE INDEX jobs_by_state ON jobs (state, sequence)",
        """CREATE TABLE events (
            job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            payload BLOB NOT NULL,
            PRIMARY KEY (job, number)
        ) WITHOUT ROWID""",
        # How far each attempt's events.jsonl has been copied into the table above.
        """CREATE TABLE event_offsets (
            job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
            attempt INTEGER NOT NULL,
            offset INTEGER NOT NULL,
            PRIMARY KEY (job, attempt)
        ) WITHOUT ROWID""",
        """CREATE TABLE models (
            name TEXT PRIMARY KEY,
            create_time_ns INTEGER NOT NULL
        )""",
        """CREATE TABLE versions (
            model TEXT NOT NULL REFERENCES models (name) ON DELETE CASCADE,
            version INTEGER NOT NULL,
            state INTEGER NOT NULL,
            job TEXT NOT NULL UNIQUE,
            went_live INTEGER,
            publish_reason TEXT,
            resource BLOB NOT NULL,
            PRIMARY KEY (model, version)
        )""",
        """CREATE TABLE aliases (
            model TEXT NOT NULL REFERENCES models (name) ON DELETE CASCADE,
            alias TEXT NOT NULL,
            version INTEGER NOT NULL,
            PRIMARY KEY (model, alias)
        )""",
        """CREATE TABLE alias_history (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            model TEXT NOT NULL REFERENCES models (name) ON DELETE CASCADE,
            alias TEXT NOT NULL,
            version INTEGER NOT NULL,
            time_ns INTEGER NOT NULL,
            reason TEXT NOT NULL
        )""",
        # Numbers are never given twice, also after a deletion: a version's name means one thing for ever.
        """CREATE TABLE version_counters (
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            last INTEGER NOT NULL,
            PRIMARY KEY (kind, name)
        )""",
    ),
    (
        # A split is read once for each model. `classes` is the digest of the class ids: equal images under other names
        # are another question.
        """CREATE TABLE evaluations (
            split_digest TEXT NOT NULL,
            model_digest TEXT NOT NULL,
            classes TEXT NOT NULL,
            split INTEGER NOT NULL,
            time_ns INTEGER NOT NULL,
            resource BLOB NOT NULL,
            PRIMARY KEY (split_digest, model_digest, classes)
        ) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE audit (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            time_ns INTEGER NOT NULL,
            request_id TEXT NOT NULL,
            caller TEXT NOT NULL,
            peer TEXT NOT NULL,
            method TEXT NOT NULL,
            resource TEXT NOT NULL,
            code TEXT NOT NULL
        )""",
        "CREATE INDEX audit_by_caller ON audit (caller, sequence)",
        """CREATE TRIGGER audit_rows_stay_as_they_are BEFORE UPDATE ON audit
            BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END""",
    ),
    (
        # Who moved `live`, and the entry that a rollback from it goes back to. Until here every move was a promotion.
        "ALTER TABLE alias_history ADD COLUMN before INTEGER",
        "ALTER TABLE alias_history ADD COLUMN actor TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX alias_history_by_model ON alias_history (model, alias, sequence)",
        """UPDATE alias_history SET before = (
            SELECT max(earlier.sequence) FROM alias_history AS earlier
            WHERE earlier.model = alias_history.model AND earlier.alias = alias_history.alias
            AND earlier.sequence < alias_history.sequence
        )""",
    ),
    (
        # What the queue is ordered by: priority, time of queueing, and the time before which a retry has to wait.
        "ALTER TABLE jobs ADD COLUMN creator TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN queued_ns INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN retry_ns INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX jobs_by_creator ON jobs (creator, sequence)",
        """CREATE TABLE uploads (
            id TEXT PRIMARY KEY,
            state INTEGER NOT NULL,
            creator TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            expire_ns INTEGER NOT NULL,
            request_id TEXT UNIQUE,
            request_digest TEXT NOT NULL,
            resource BLOB NOT NULL
        )""",
        "CREATE INDEX uploads_by_expiry ON uploads (expire_ns)",
        "CREATE INDEX uploads_by_creator ON uploads (creator)",
        # Memory that jobs of one shape took: better than any estimate.
        """CREATE TABLE memory_peaks (
            shape TEXT PRIMARY KEY,
            gpu_bytes INTEGER,
            host_bytes INTEGER NOT NULL,
            time_ns INTEGER NOT NULL
        ) WITHOUT ROWID""",
    ),
    (
        # Jobs that wait for other jobs' models are held until those have ended.
        "ALTER TABLE jobs ADD COLUMN held INTEGER NOT NULL DEFAULT 0",
        """CREATE TABLE studies (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            state INTEGER NOT NULL,
            creator TEXT NOT NULL,
            request_id TEXT UNIQUE,
            request_digest TEXT NOT NULL,
            resource BLOB NOT NULL
        )""",
        "CREATE INDEX studies_by_creator ON studies (creator, sequence)",
        """CREATE TABLE study_events (
            study TEXT NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            payload BLOB NOT NULL,
            PRIMARY KEY (study, number)
        ) WITHOUT ROWID""",
        "CREATE INDEX evaluations_by_model ON evaluations (model_digest)",
    ),
)
"""Statements of step 1, step 2, ..."""


def version_of(connection: sa.Connection) -> int:
    """Return the number of steps that a catalog has seen; 0: it is new.

    Raises:
        StartupRefused: it has seen more steps than there are here.
    """
    if not sa.inspect(connection).has_table("schema_version"):
        return 0
    version = int(connection.exec_driver_sql("SELECT version FROM schema_version").scalar() or 0)
    if version > len(MIGRATIONS):
        raise StartupRefused(
            f"the catalog's schema is {version}, this service knows {len(MIGRATIONS)}: start a newer service"
        )
    return version


def run_step(connection: sa.Connection, number: int) -> None:
    """Run one step, 1 for the first; the caller's transaction is its own."""
    for statement in MIGRATIONS[number - 1]:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    connection.exec_driver_sql("DELETE FROM schema_version")
    connection.exec_driver_sql("INSERT INTO schema_version VALUES (?)", (number,))
