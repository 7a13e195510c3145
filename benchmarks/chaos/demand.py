"""How much is asked for at a time: everything once, or always some more while the service is disturbed."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence

from benchmarks.chaos.customer import Customer
from benchmarks.chaos.violations import Violations
from benchmarks.chaos.workload import Import, Recipe
from cultivar_client import CultivarError

OPEN_JOBS = 4
"""Jobs that run or wait at a time."""
_LULL_S = (2.0, 8.0)
"""Seconds between one import's end and the next one's beginning."""
_LOOK_S = 0.3
"""Seconds between two looks whether a recipe has become possible."""


async def order_once(customer: Customer, imports: Sequence[Import], recipes: Sequence[Recipe]) -> None:
    """Ask for everything once, one after the other, and see each to its end."""
    for source in imports:
        await customer.order_import(source)
    for recipe in recipes:
        await customer.order_job(recipe)


class Demand:
    """Asks for more and more until it is told that it is enough, then sees all of it to its end."""

    def __init__(
        self,
        customer: Customer,
        imports: Sequence[Import],
        recipes: Sequence[Recipe],
        violations: Violations,
        generator: random.Random,
    ) -> None:
        self._customer = customer
        self._imports = imports
        self._recipes = recipes
        self._violations = violations
        self._generator = generator
        self._open = 0
        self.enough = asyncio.Event()
        """Set by whoever has seen enough."""

    async def run(self) -> None:
        """Have the jobs' data set imported, then ask for jobs and imports side by side."""
        while not await self._order_import(self._imports[0]):
            if self.enough.is_set():
                return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._order_imports())
            await self._order_jobs(group)

    async def _order_jobs(self, group: asyncio.TaskGroup) -> None:
        """Keep some jobs open, of the recipes that were asked for least; each is asked for at least once."""
        orders = Counter({recipe.name: 0 for recipe in self._recipes})
        while True:
            possible = [recipe for recipe in self._recipes if self._customer.can_order(recipe)]
            recipe = min(possible, key=lambda one: orders[one.name])
            wanted = not self.enough.is_set() or not orders[recipe.name]
            if wanted and self._open < OPEN_JOBS:
                orders[recipe.name] += 1
                self._open += 1
                group.create_task(self._order_job(recipe))
                continue
            if not wanted and (all(orders.values()) or not self._open):  # what is missing starts from what has failed
                return
            await asyncio.sleep(_LOOK_S)

    async def _order_job(self, recipe: Recipe) -> None:
        try:
            await self._customer.order_job(recipe)
        except CultivarError as error:
            self._violations.add("clean answers", f"{recipe.name}: {error.code}: {error}")
        finally:
            self._open -= 1

    async def _order_imports(self) -> None:
        for source in itertools.cycle(self._imports):
            try:
                await asyncio.wait_for(self.enough.wait(), self._generator.uniform(*_LULL_S))
                return
            except TimeoutError:
                await self._order_import(source)

    async def _order_import(self, source: Import) -> bool:
        """Ask for an import; tell whether it became READY."""
        try:
            return bool((await self._customer.order_import(source)).digest)
        except CultivarError as error:
            self._violations.add("clean answers", f"import of {source.name}: {error.code}: {error}")
            await asyncio.sleep(_LOOK_S)
            return False
