"""Pictures of what a network computes of one image, and of its first filters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cultivar_trainer.inspection.layers import Layer
from cultivar_trainer.inspection.page import LINE, MARGIN, WIDTH, Finish, Page, as_picture, page
from cultivar_trainer.reports.style import COLOURS

_COLOURS = "viridis"
"""Of activations: from dark to bright in every kind of sight, and in grey."""
_PANEL = 170
"""Side of the image and its overlay."""
_BAR = 10
_MAPS_LEFT = MARGIN + 2 * _PANEL + 90
_MAP = 70
"""Side of a feature map."""
_FILTER = 98
_GAP = 8
_OPACITY = 0.6
"""Of the heat map on the image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerMaps:
    """What one layer makes of an image."""

    layer: Layer
    heat: NDArray[np.float32]
    """Mean over all channels, (H, W)."""
    channels: Sequence[int]
    """Those shown, the strongest first."""
    maps: NDArray[np.float32]
    """Of those channels, (K, H, W)."""

    @property
    def means(self) -> list[float]:
        """Mean activation of each channel shown."""
        return [float(one.mean()) for one in self.maps]


def feature_maps(found: Sequence[LayerMaps], pixels: NDArray[np.uint8], title: str, finish: Finish) -> None:
    """Draw an image, the mean activation of layers laid over it, and their strongest channels.

    Args:
        found: by layer.
        pixels: the image, uint8 (S, S, C).
        title: of the picture.
        finish: takes the figure.
    """
    heights = [_section_height(one) for one in found]
    with page(sum(heights) + 3 * LINE + 2 * MARGIN, finish) as sheet:
        sheet.text(title, MARGIN, MARGIN, size=11)
        top: float = MARGIN + 1.5 * LINE
        for one, height in zip(found, heights, strict=True):
            _section(sheet, one, pixels, top)
            top += height
        if any(one.layer.has_places for one in found):
            note = (
                "Below each map: channel: mean activation. Maps go each from its own lowest (dark) to highest (bright)."
            )
            sheet.text(note, MARGIN, top, size=8, color="0.35")


def _columns() -> int:
    return int((WIDTH - MARGIN - _MAPS_LEFT + _GAP) // (_MAP + _GAP))


def _section_height(one: LayerMaps) -> float:
    rows = -(-len(one.channels) // _columns()) if one.layer.has_places else 0
    units = 0 if one.layer.has_places else 40 + 14 * len(one.channels)
    return LINE + max(_PANEL + LINE, rows * (_MAP + LINE), units) + MARGIN


def _section(sheet: Page, one: LayerMaps, pixels: NDArray[np.uint8], top: float) -> None:
    layer, picture = one.layer, as_picture(pixels)
    what = f"{layer.channels} channels of {layer.height} x {layer.width}" if layer.has_places else "1 place"
    unit = "" if layer.has_places else f", {layer.channels} units"
    sheet.text(f"{layer.name} ({layer.kind}): {what}{unit}", MARGIN, top, size=10, weight="bold")
    top += LINE + 2
    sheet.image(picture, MARGIN, top, _PANEL)
    sheet.text("the image", MARGIN, top + _PANEL + 2, size=8)
    if not layer.has_places:
        _units(sheet, one, top)
        return
    left = MARGIN + _PANEL + _GAP
    grey = np.repeat(picture.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    axes = sheet.image(grey, left, top, _PANEL)
    extent = (-0.5, pixels.shape[1] - 0.5, pixels.shape[0] - 0.5, -0.5)
    heat = axes.imshow(one.heat, cmap=_COLOURS, alpha=_OPACITY, extent=extent, interpolation="bilinear", aspect="auto")
    bar = sheet.panel(left + _PANEL + 4, top, _BAR, _PANEL)
    sheet.figure.colorbar(heat, cax=bar).ax.tick_params(labelsize=7)
    sheet.text("mean activation of all channels", left, top + _PANEL + 2, size=8, width=_PANEL + 80)
    for place, (channel, mean, values) in enumerate(zip(one.channels, one.means, one.maps, strict=True)):
        row, column = divmod(place, _columns())
        x, y = _MAPS_LEFT + column * (_MAP + _GAP), top + row * (_MAP + LINE)
        sheet.image(values, x, y, _MAP, cmap=_COLOURS)
        sheet.text(f"{channel}: {mean:.2g}", x, y + _MAP + 1, width=_MAP + _GAP, size=8)


def _units(sheet: Page, one: LayerMaps, top: float) -> None:
    left, height = MARGIN + _PANEL + 110, 14 * len(one.channels)
    axes = sheet.panel(left, top, WIDTH - left - 2 * MARGIN, height)
    places = np.arange(len(one.channels))
    axes.barh(places, one.means, color=COLOURS[0])
    axes.set_yticks(places, [str(channel) for channel in one.channels], fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("activation", fontsize=8, labelpad=1)
    axes.set_ylabel("unit", fontsize=8)


def filters(layer: Layer, weights: NDArray[np.float32], shown: Sequence[int], title: str, finish: Finish) -> None:
    """Draw filters, all on one scale whose middle is zero.

    Args:
        layer: theirs.
        weights: those shown, (K, C, H, W); C is 1 or 3.
        shown: their numbers.
        title: of the picture.
        finish: takes the figure.
    """
    columns = int((WIDTH - 2 * MARGIN + _GAP) // (_FILTER + _GAP))
    rows, bar = -(-len(shown) // columns), 0 if weights.shape[1] == 3 else 50
    top = MARGIN + 3 * LINE
    largest = float(np.abs(weights).max()) or 1.0
    with page(top + rows * (_FILTER + LINE) + bar + MARGIN, finish) as sheet:
        sheet.text(title, MARGIN, MARGIN, size=11)
        scale = f"mid grey is 0, full colour {largest:.3g}" if bar == 0 else f"from -{largest:.3g} to {largest:.3g}"
        note = f"{layer.name} ({layer.kind}). Below each filter: its number: its length (L2 norm). All on one scale: "
        sheet.text(note + scale + ".", MARGIN, MARGIN + 1.4 * LINE, size=8, color="0.35")
        for place, number in enumerate(shown):
            row, column = divmod(place, columns)
            x, y = MARGIN + column * (_FILTER + _GAP), top + row * (_FILTER + LINE)
            values = weights[place]  # (C, H, W)
            if bar:
                axes = sheet.image(values[0], x, y, _FILTER, cmap="cividis", vmin=-largest, vmax=largest)
            else:
                axes = sheet.image(0.5 + values.transpose(1, 2, 0) / (2 * largest), x, y, _FILTER)
            length = float(np.sqrt((values.astype(np.float64) ** 2).sum()))
            sheet.text(f"{number}: {length:.3g}", x, y + _FILTER + 1, width=_FILTER, size=8)
        if bar:
            scale_axes = sheet.panel(MARGIN + 10, top + rows * (_FILTER + LINE) + 6, 300, _BAR)
            drawn = sheet.figure.colorbar(axes.images[0], cax=scale_axes, orientation="horizontal")
            drawn.ax.tick_params(labelsize=7)
            drawn.set_label("weight", fontsize=8, labelpad=0)
