"""README.md as a map: it names every room and leads to every page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "contract/cultivar_contract",
    "service/cultivar_service",
    "trainer/cultivar_trainer",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_names_every_room(package: str) -> None:
    tree = re.search(r"## The house\n\n```text\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert tree
    _, _, rest = tree[1].partition(f"{package}/")
    rooms = re.findall(r"^  (\S.*?)   ", re.split(r"^\S", rest.partition("\n")[2], flags=re.M)[0], re.M)
    named = set(" ".join(rooms).split())

    folders = {f"{file.parent.name}/" for file in (ROOT / package).glob("*/__init__.py")}

    assert folders <= named


def test_every_page_is_linked_and_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    linked = set()
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page} links {target}"
            if page.name == "README.md":
                linked.add((page.parent / target).resolve())

    assert set((ROOT / "docs").glob("*.md")) <= linked
