"""How all pictures are drawn: colours that the colour-blind tell apart, sizes that are read at 800 pixels."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING, VALIDATION = "#0072B2", "#D55E00"
"""Blue and vermilion."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D00")
"""For several lines in one picture: Okabe & Ito, Color Universal Design (2008), yellow darkened to be seen on white."""
LINES = ("-", "--", "-.", ":")
"""Tell lines apart where colours come again, and in grey."""
_DOTS_PER_INCH = 100
_WIDTH_INCHES = 9.0


def line_styles(count: int) -> list[tuple[str, str]]:
    """Return a colour and a line style for each of several lines, no pair twice in the first 32."""
    pairs = ((colour, line) for line in cycle(LINES) for colour in COLOURS)
    return list(islice(pairs, count))


@contextmanager
def drawing(*, rows: int = 1, columns: int = 1, row_inches: float = 3.6) -> Iterator["Figure"]:
    """Give an empty figure in the house's style, 900 pixels wide as PNG; it is closed at the end.

    Args:
        rows: of the axes that the caller will add; the figure is this many times `row_inches` high.
        columns: of those axes.
        row_inches: height of a row.
    """
    # Loads for half a second, which a process that draws nothing need not wait.
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.hashsalt": "cultivar",
        "svg.fonttype": "none",
        "font.size": 11 if columns < 3 else 9,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(_WIDTH_INCHES, rows * row_inches), dpi=_DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def save(figure: "Figure", path: Path) -> None:
    """Write a figure in the form that the name's suffix says; equal figures give equal bytes."""
    path.write_bytes(encoded(figure, path.suffix.removeprefix(".")))


def encoded(figure: "Figure", form: str) -> bytes:
    """Return a figure as `png`, or as `svg` whose texts stay texts; equal figures give equal bytes."""
    if (engine := figure.get_layout_engine()) is not None:
        # Found once: by itself matplotlib would do so for each form, for as long as it draws one.
        engine.execute(figure)
        figure.set_layout_engine("none")
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=_DOTS_PER_INCH, metadata=metadata)
    return buffer.getvalue()
