"""The palette of the printed figures as class names of the page, which has a shade of each for light and for dark."""

from simulator.report.figures.style import (
    BLACK,
    BLUE,
    FAINT_GREY,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    lighter,
)

CLASSES = {
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    VERMILLION: "vermillion",
    PURPLE: "purple",
    SKY: "sky",
    YELLOW: "yellow",
    BLACK: "black",
    GREY: "grey",
    lighter(BLUE, 0.5): "blue pale",
    lighter(VERMILLION, 0.5): "vermillion pale",
    lighter(SKY, 0.6): "sky pale",
    lighter(PURPLE, 0.5): "purple pale",
    lighter(GREY, 0.5): "grey pale",
    lighter(BLACK, 0.75): "black pale",
    FAINT_GREY: "grey faint",
}
"""Classes of the style sheet: a colour, and for one that figures mix with white "pale", or "faint" for almost white."""


def class_of(colour: str) -> str:
    """The classes that stand for a colour of the printed figures; pale grey for one that the style sheet lacks."""
    return CLASSES.get(colour, "grey pale")
