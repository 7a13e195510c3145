"""Reading a log that grows."""

from pathlib import Path

from cultivar_service.api.log_tail import read_log


def test_a_line_without_an_end_waits_or_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntw")

    assert read_log(log, 0, whole_lines=True) == ("one\n", 4)
    assert read_log(log, 4, whole_lines=True) is None
    assert read_log(log, 4, whole_lines=False) == ("tw", 6)
    assert read_log(log, 6, whole_lines=False) is None


def test_an_endless_line_is_cut_between_characters(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("€" * 50_000)

    pieces, offset = [], 0
    while (piece := read_log(log, offset, whole_lines=False)) is not None:
        pieces.append(piece[0])
        offset = piece[1]

    assert len(pieces) > 2
    assert "".join(pieces) == "€" * 50_000


def test_no_log_says_nothing(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none", 0, whole_lines=False) is None
