"""Runs coroutine tests; makes packages."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_package import write_package


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    is_long = pyfuncitem.get_closest_marker("slow") or pyfuncitem.get_closest_marker("all")
    limit_s = 900 if is_long else 30
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), limit_s))
    return True


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound package."""
    return write_package(tmp_path_factory.mktemp("packages") / "sound")


@pytest.fixture
def make_package(tmp_path: Path) -> Callable[..., Path]:
    """Make other packages."""
    return lambda name, **settings: write_package(tmp_path / "packages" / name, **settings)
