"""A paint box over Pillow: washes, glows and soft-edged shapes, ignorant of what they depict.

Lengths are pixels of the finished picture, colours are (red, green, blue) of
0..255.  Shapes are masks drawn at twice the size and halved, so that their
edges are smooth; gradients are one column stretched, so that they cost little.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Protocol

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_OVERSAMPLING = 2
_FALLOFF_PX = 256


class Shape(Protocol):
    """Something that can be filled."""

    def bounds(self) -> Box:
        """The box it lies in."""

    def fill(self, draw: ImageDraw.ImageDraw, origin: Point) -> None:
        """Fill it on a mask whose upper left corner is at `origin`."""


@dataclass(frozen=True, slots=True)
class Polygon:
    """The area within a line through `points`."""

    points: Sequence[Point]

    def bounds(self) -> Box:
        """The box it lies in."""
        return _around(self.points, margin=0)

    def fill(self, draw: ImageDraw.ImageDraw, origin: Point) -> None:
        """Fill it on a mask whose upper left corner is at `origin`."""
        draw.polygon([_on_mask(point, origin) for point in self.points], fill=255)


@dataclass(frozen=True, slots=True)
class Disc:
    """A disc, flattened to `squash` of its height."""

    centre: Point
    radius: float
    squash: float = 1.0

    def bounds(self) -> Box:
        """The box it lies in."""
        (x, y), across, down = self.centre, self.radius, self.radius * self.squash
        return x - across, y - down, x + across, y + down

    def fill(self, draw: ImageDraw.ImageDraw, origin: Point) -> None:
        """Fill it on a mask whose upper left corner is at `origin`."""
        left, top, right, bottom = self.bounds()
        draw.ellipse([_on_mask((left, top), origin), _on_mask((right, bottom), origin)], fill=255)


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line of some width through `points`."""

    points: Sequence[Point]
    width: float

    def bounds(self) -> Box:
        """The box it lies in."""
        return _around(self.points, margin=self.width)

    def fill(self, draw: ImageDraw.ImageDraw, origin: Point) -> None:
        """Fill it on a mask whose upper left corner is at `origin`."""
        width = max(1, round(self.width * _OVERSAMPLING))
        draw.line([_on_mask(point, origin) for point in self.points], fill=255, width=width, joint="curve")


class Canvas:
    """A picture in the making.

    Attributes:
        image: the picture, RGB.
        unit: its shorter side; things that keep their proportions are measured in it.
    """

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height))
        self.width = width
        self.height = height
        self.unit = min(width, height)

    def wash(self, *stops: Colour, top: float = 0.0, bottom: float = 1.0) -> None:
        """Cover the rows between two fractions of the height with a gradient through `stops`."""
        first, last = round(top * self.height), round(bottom * self.height)
        column = _gradient(stops, max(1, last - first))
        self.image.paste(column.resize((self.width, column.height), Image.Resampling.NEAREST), (0, first))

    def glow(self, centre: Point, radius: float, colour: Colour, strength: float) -> None:
        """Let light of a strength of 0..1 fall off around a point."""
        left, top = max(0, round(centre[0] - radius)), max(0, round(centre[1] - radius))
        right = min(self.width, round(centre[0] + radius))
        bottom = min(self.height, round(centre[1] + radius))
        if left >= right or top >= bottom:
            return
        # Only the part of the light that falls on the picture is stretched; most of a great one does not.
        scale = _FALLOFF_PX / (2 * radius)
        across = [min(_FALLOFF_PX, max(0.0, (edge - centre[0] + radius) * scale)) for edge in (left, right)]
        down = [min(_FALLOFF_PX, max(0.0, (edge - centre[1] + radius) * scale)) for edge in (top, bottom)]
        light = _translucent(_falloff(), strength).resize(
            (right - left, bottom - top),
            Image.Resampling.BILINEAR,
            box=(across[0], down[0], across[1], down[1]),
        )
        self.image.paste(colour, (left, top), light)

    def fill(self, shapes: Iterable[Shape], *stops: Colour, opacity: float = 1.0, blur: float = 0.0) -> None:
        """Fill shapes as one layer, with a gradient from the top of the highest to the foot of the lowest.

        Args:
            shapes: what to fill; nothing happens where there is none, or none within the picture.
            stops: the colours of the gradient, or one colour.
            opacity: 0..1.
            blur: radius of softness, pixels.
        """
        shapes = list(shapes)
        reach = _union([shape.bounds() for shape in shapes], margin=2 + 2 * blur)
        left, top = max(0, reach[0]), max(0, reach[1])
        right, bottom = min(self.width, reach[2]), min(self.height, reach[3])
        if left >= right or top >= bottom:
            return
        mask = Image.new("L", ((right - left) * _OVERSAMPLING, (bottom - top) * _OVERSAMPLING))
        draw = ImageDraw.Draw(mask)
        for shape in shapes:
            shape.fill(draw, (left, top))
        mask = _translucent(_softened(mask.reduce(_OVERSAMPLING), blur), opacity)
        column = _gradient(stops, reach[3] - reach[1]).crop((0, top - reach[1], 1, bottom - reach[1]))
        self.image.paste(column.resize(mask.size, Image.Resampling.NEAREST), (left, top), mask)

    def mirror(self, horizon: float, tint: Colour, rng: Random) -> None:
        """Reflect what is above `horizon` (a fraction of the height) in rippled water below it."""
        line = round(horizon * self.height)
        depth = self.height - line
        above = self.image.crop((0, max(0, line - depth), self.width, line))
        still = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((self.width, depth))
        water = Image.blend(still, Image.new("RGB", still.size, tint), 0.28)
        self.image.paste(water, (0, line))
        row = 0
        while row < depth:
            nearness = row / depth
            rows = max(1, round(self.unit * (0.003 + 0.012 * nearness)))
            shift = round(rng.gauss(0, 1) * self.unit * (0.002 + 0.016 * nearness))
            self.image.paste(water.crop((0, row, self.width, min(depth, row + rows))), (shift, line + row))
            row += rows


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """`one` with a share of 0..1 of `other` stirred in."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _gradient(stops: Sequence[Colour], height: int) -> Image.Image:
    """One column of a vertical gradient through evenly spaced `stops`."""
    column = Image.new("RGB", (1, len(stops)))
    column.putdata(list(stops))
    # From the middle of the first stop's pixel to the middle of the last one's: a pure colour at either end.
    ends = (0, 0.5, 1, len(stops) - 0.5) if len(stops) > 1 else None
    return column.resize((1, height), Image.Resampling.BILINEAR, box=ends)


@lru_cache(maxsize=1)
def _falloff() -> Image.Image:
    """Light that falls off with the square of nearness; Pillow's gradient is 181 at the middle of an edge."""
    nearness = [max(0.0, 1 - level / 181) for level in range(256)]
    return Image.radial_gradient("L").point([round(255 * near * near) for near in nearness])


def _softened(mask: Image.Image, radius: float) -> Image.Image:
    """The mask blurred; small, since in what is blurred nobody can tell."""
    if not radius:
        return mask
    shrink = max(1, round(radius / 3))
    blurred = mask.reduce(shrink).filter(ImageFilter.GaussianBlur(radius / shrink))
    return blurred.resize(mask.size, Image.Resampling.BILINEAR)


def _translucent(mask: Image.Image, opacity: float) -> Image.Image:
    return mask if opacity >= 1 else mask.point([round(level * opacity) for level in range(256)])


def _on_mask(point: Point, origin: Point) -> Point:
    return (point[0] - origin[0]) * _OVERSAMPLING, (point[1] - origin[1]) * _OVERSAMPLING


def _around(points: Sequence[Point], margin: float) -> Box:
    across, down = [x for x, _ in points], [y for _, y in points]
    return min(across) - margin, min(down) - margin, max(across) + margin, max(down) + margin


def _union(boxes: Sequence[Box], margin: float) -> tuple[int, int, int, int]:
    """The box around all of them, in whole pixels; an empty one where there are none."""
    if not boxes:
        return 0, 0, 0, 0
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return (
        math.floor(min(lefts) - margin),
        math.floor(min(tops) - margin),
        math.ceil(max(rights) + margin),
        math.ceil(max(bottoms) + margin),
    )
