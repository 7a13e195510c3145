"""The catalog's file: its schema, and its one owner."""

import asyncio
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from running_service import make_config

from cultivar.v1 import evaluation_pb2
from cultivar_service.catalog import aliases, evaluations, migrations
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.storage import DataDirectory, new_identifier
from cultivar_service.errors import StartupRefused

COUNT = "SELECT count(*) FROM models"


def test_a_catalog_is_migrated_once_and_kept(tmp_path: Path) -> None:
    for _ in range(2):
        catalog = Catalog(tmp_path / "catalog.sqlite")
        catalog.close()

    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        versions = connection.execute("SELECT version FROM schema_version").fetchall()
    assert versions == [(len(migrations.MIGRATIONS),)]


def test_a_newer_catalog_is_refused(tmp_path: Path) -> None:
    Catalog(tmp_path / "catalog.sqlite").close()
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        connection.execute("UPDATE schema_version SET version = 999")
        connection.commit()

    with pytest.raises(StartupRefused, match="schema is 999"):
        Catalog(tmp_path / "catalog.sqlite")


async def test_an_older_catalog_s_promotions_can_be_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:3])
        Catalog(tmp_path / "catalog.sqlite").close()
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        connection.execute("INSERT INTO models VALUES ('flowers', 1)")
        for version in (1, 2, 3):
            row = ("flowers", version, aliases.READY, f"job {version}", b"")
            connection.execute(
                "INSERT INTO versions (model, version, state, job, resource) VALUES (?, ?, ?, ?, ?)", row
            )
            history = ("flowers", "live", version, version, "promoted")
            connection.execute(
                "INSERT INTO alias_history (model, alias, version, time_ns, reason) VALUES (?, ?, ?, ?, ?)", history
            )
        connection.execute("INSERT INTO aliases VALUES ('flowers', 'live', 3)")
        connection.commit()

    catalog = Catalog(tmp_path / "catalog.sqlite")
    back = []
    while (earlier := await catalog.read(lambda connection: aliases.earlier_live(connection, "flowers"))) is not None:
        back.append(earlier.version)
        step = partial(aliases.move_live_back, model="flowers", earlier=earlier, actor="", reason="")
        await catalog.write(step)
    catalog.close()

    assert back == [2, 1]


async def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")

    def fail(connection: object) -> None:
        connection.exec_driver_sql("INSERT INTO models VALUES ('a', 1)")
        raise LookupError

    with pytest.raises(LookupError):
        await catalog.write(fail)
    count = await catalog.read(lambda connection: connection.exec_driver_sql(COUNT).scalar())
    catalog.close()

    assert count == 0


async def test_of_writes_that_share_a_commit_one_that_fails_undoes_only_itself(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")

    def add(number: int) -> object:
        def write(connection: object) -> int:
            connection.exec_driver_sql("INSERT INTO models VALUES (?, 1)", (f"m{number}",))
            if number % 5 == 0:
                raise LookupError(number)
            return number

        return write

    outcomes = await asyncio.gather(*(catalog.write(add(number)) for number in range(100)), return_exceptions=True)
    count = await catalog.read(lambda connection: connection.exec_driver_sql(COUNT).scalar())
    given_up = asyncio.ensure_future(catalog.write(add(1000)))
    await asyncio.sleep(0)
    given_up.cancel()
    catalog.close()

    assert [one for one in outcomes if isinstance(one, int)] == [number for number in range(100) if number % 5]
    assert sum(isinstance(one, LookupError) for one in outcomes) == 20
    assert count == 80


async def test_a_write_that_sqlite_undoes_as_a_whole_fails_all_that_share_it(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")

    def add(name: str) -> object:
        return lambda connection: connection.exec_driver_sql("INSERT INTO models VALUES (?, 1)", (name,))

    def lose_all(connection: object) -> None:
        connection.exec_driver_sql("ROLLBACK")  # what SQLite does by itself on a full disk
        raise OSError("disk full")

    first = catalog.write(lambda _: time.sleep(0.1))  # the others wait for it, and so are written together
    outcomes = await asyncio.gather(
        first, catalog.write(add("a")), catalog.write(lose_all), catalog.write(add("b")), return_exceptions=True
    )
    await catalog.write(add("c"))
    names = await catalog.read(lambda connection: connection.exec_driver_sql("SELECT name FROM models").fetchall())
    catalog.close()

    assert [type(one) for one in outcomes[1:]] == [OSError] * 3
    assert names == [("c",)]


async def test_readers_see_whole_transactions_while_one_writes(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")

    def add(number: int) -> object:
        def write(connection: object) -> None:
            for name in (f"a{number}", f"b{number}"):
                connection.exec_driver_sql("INSERT INTO models VALUES (?, 1)", (name,))

        return write

    writes = asyncio.gather(*(catalog.write(add(number)) for number in range(50)))
    counts = set()
    while not writes.done():
        counts.add(await catalog.read(lambda connection: connection.exec_driver_sql(COUNT).scalar()))
    await writes
    catalog.close()

    assert all(count % 2 == 0 for count in counts)


def test_one_service_holds_a_data_directory(tmp_path: Path) -> None:
    first = DataDirectory(make_config(tmp_path))
    with pytest.raises(StartupRefused, match="another service"):
        DataDirectory(make_config(tmp_path))
    first.close()

    DataDirectory(make_config(tmp_path)).close()


def test_identifiers_differ() -> None:
    assert len({new_identifier() for _ in range(100)}) == 100


async def test_figures_are_kept_for_each_model_images_and_classes_and_the_first_stay(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    key = evaluations.key_of("images", "model", ["a", "b"])
    for weights in ("first", "second"):
        made = evaluation_pb2.Evaluation(weights=weights)
        await catalog.write(partial(evaluations.add, key=key, split=3, made=made))
    other = evaluations.key_of("images", "model", ["b", "a"])
    found = [await catalog.read(partial(evaluations.find, key=one)) for one in (key, other)]
    catalog.close()

    assert [one and one.weights for one in found] == ["first", None]
