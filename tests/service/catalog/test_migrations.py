"""Bringing a catalog's schema up to date: after a copy, step by step, each whole or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cultivar_service.catalog import migrations
from cultivar_service.catalog.database import Catalog
from cultivar_service.errors import StartupRefused


def open_at(path: Path, schema: int, patch: pytest.MonkeyPatch) -> None:
    """Open a catalog as a service of that schema does."""
    with patch.context() as older:
        older.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:schema])
        Catalog(path).close()


def schema_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT version FROM schema_version").fetchone()[0])


def copies(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir() if "before" in one.name)


def test_an_older_catalog_is_copied_before_it_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.sqlite"
    open_at(path, 3, monkeypatch)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO models VALUES ('flowers', 1)")
        connection.commit()

    Catalog(path).close()
    Catalog(path).close()

    assert schema_of(path) == len(migrations.MIGRATIONS)
    assert copies(path) == ["catalog.sqlite.before-4"]
    assert schema_of(tmp_path / "catalog.sqlite.before-4") == 3
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite.before-4")) as connection:
        assert connection.execute("SELECT name FROM models").fetchall() == [("flowers",)]


def test_a_new_catalog_needs_no_copy_and_the_newest_two_copies_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.sqlite"
    open_at(path, 1, monkeypatch)
    assert copies(path) == []

    for schema in (2, 3, 4):
        open_at(path, schema, monkeypatch)

    assert copies(path) == ["catalog.sqlite.before-3", "catalog.sqlite.before-4"]


def test_a_step_that_fails_leaves_the_step_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.sqlite"
    open_at(path, 2, monkeypatch)
    broken = (*migrations.MIGRATIONS[:3], ("CREATE TABLE half (name TEXT)", "NO SQL AT ALL"))
    with monkeypatch.context() as newer:
        newer.setattr(migrations, "MIGRATIONS", broken)
        with pytest.raises(Exception, match="syntax error"):
            Catalog(path)

    assert schema_of(path) == 3
    Catalog(path).close()
    assert schema_of(path) == len(migrations.MIGRATIONS)


def test_without_room_for_the_copy_nothing_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.sqlite"
    open_at(path, 3, monkeypatch)
    (tmp_path / "catalog.sqlite.before-4").mkdir()  # what can't be replaced by a file stands for a full disk

    with pytest.raises(StartupRefused, match="can't be copied"):
        Catalog(path)

    assert schema_of(path) == 3
