"""Names beside the points of a scatter plot, where there is room for them."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from simulator.report.figures.style import GREY, NAME_POINTS, text_inches

Values = npt.NDArray[np.float64]

DISTANCES = (2.0, 9.0, 17.0, 26.0, 36.0)
"""Points between a marker's edge and its name, tried in turn; from the second on a line joins them."""

ANGLES = (0, 180, 90, 270, 45, 315, 135, 225)


class PointNames:
    """Writes names beside points so that no two texts, and no text and point, lie on each other.

    places and radii are the points on the page, in typographic points (1/72 inch); taken are other places that no text
    may cover, [number, 2].
    """

    def __init__(self, axes: Axes, places: Values, radii: Values, taken: Values) -> None:
        self._axes, self._places, self._radii, self._taken = axes, places, radii, taken
        self._boxes: list[Bbox] = []
        self._written: list[tuple[float, float]] = []
        assert axes.figure is not None
        scale = 72 / axes.figure.dpi
        window = axes.get_window_extent()
        self._inside = Bbox([[window.x0 * scale, window.y0 * scale], [window.x1 * scale, window.y1 * scale]])

    def write(self, at: int, name: str) -> Annotation | None:
        """Names point `at`; None when its surroundings are full, or a point that it covers is named already."""
        x, y = self._places[at]
        if any(math.dist((x, y), other) < 3.0 for other in self._written):
            return None
        width, height = 72 * text_inches(name, NAME_POINTS) + 1, NAME_POINTS + 1.0
        for distance, angle, box in self._candidates(at, width, height):
            if not self._free(box) or (distance > DISTANCES[0] and not self._clear(at, box, angle)):
                continue
            self._boxes.append(box)
            self._written.append((x, y))
            centre = ((box.x0 + box.x1) / 2 - x, (box.y0 + box.y1) / 2 - y)
            line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 0}
            data_x, data_y = self._axes.transData.inverted().transform(self._places[at] * self._dots)
            return self._axes.annotate(
                name,
                (data_x, data_y),
                centre,
                textcoords="offset points",
                fontsize=NAME_POINTS,
                ha="center",
                va="center_baseline",
                arrowprops={**line, "relpos": _nearest_side(angle)} if distance > DISTANCES[0] else None,
                zorder=4,
            )
        return None

    @property
    def _dots(self) -> float:
        """Pixels per typographic point."""
        assert self._axes.figure is not None
        return float(self._axes.figure.dpi) / 72

    def _candidates(self, at: int, width: float, height: float) -> Iterator[tuple[float, int, Bbox]]:
        x, y = self._places[at]
        for distance in DISTANCES:
            for angle in ANGLES:
                right, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
                reach = self._radii[at] + distance
                centre_x = x + right * reach + round(right, 6) * width / 2 * (1 if abs(right) > 0.1 else 0)
                centre_y = y + up * (reach + height / 2)
                yield distance, angle, Bbox.from_bounds(centre_x - width / 2, centre_y - height / 2, width, height)

    def _free(self, box: Bbox) -> bool:
        inside = self._inside
        if box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0 or box.y1 > inside.y1:
            return False
        if any(box.overlaps(other) for other in self._boxes):
            return False
        nearest = np.column_stack(
            [np.clip(self._places[:, 0], box.x0, box.x1), np.clip(self._places[:, 1], box.y0, box.y1)]
        )
        if (np.hypot(*(nearest - self._places).T) < self._radii).any():
            return False
        x, y = self._taken.T
        return not bool(((x > box.x0 - 1) & (x < box.x1 + 1) & (y > box.y0 - 1) & (y < box.y1 + 1)).any())

    def _clear(self, at: int, box: Bbox, angle: int) -> bool:
        """Whether the line from a point to its name crosses neither another name nor a place that is taken."""
        right, up = _nearest_side(angle)
        end = np.array([box.x0 + right * box.width, box.y0 + up * box.height])
        start = self._places[at]
        length = math.dist(start, end)
        steps = np.linspace(min(1.0, self._radii[at] / length), 1, max(2, int(length)))[:, None]
        line = start + steps * (end - start)
        if any(other.contains(x, y) for other in self._boxes for x, y in line):
            return False
        return not bool((np.hypot(*(line[:, None] - self._taken).transpose(2, 0, 1)) < 1.5).any())


def _nearest_side(angle: int) -> tuple[float, float]:
    """Where on a text's box a line from a point in its opposite direction arrives."""
    right, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return (0.5 - 0.5 * round(right, 2), 0.5 - 0.5 * round(up, 2))


def cover(centre: Sequence[float], length: float, thickness: float, angle: float) -> Values:
    """Places [number, 2] that cover a turned text: `length` along `angle` in degrees, `thickness` across it."""
    along = np.linspace(-length / 2, length / 2, max(2, int(length / 2)))
    across = np.linspace(-thickness / 2, thickness / 2, 4)
    steps, sides = (grid.ravel() for grid in np.meshgrid(along, across))
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return np.column_stack([centre[0] + steps * cosine - sides * sine, centre[1] + steps * sine + sides * cosine])
