"""The things in the sandbox's scenes: pines, palms, trees, towers, a boat, vessels, as shapes without colour.

Every length is in pixels, every choice comes from the `Random` given.
"""

import math
from collections.abc import Sequence
from random import Random

from providers.painting.canvas import Disc, Point, Polygon, Shape, Stroke

Tower = tuple[float, float, float]
"""Left, top and right of one tower."""


def crest(rng: Random, width: float, base: float, swing: float, octaves: int = 6) -> list[Point]:
    """The line of a ridge from the left edge to the right, swinging about `base`."""
    waves = [(rng.uniform(0.6, 1.4) * 2**octave, rng.uniform(0, math.tau)) for octave in range(octaves)]
    steps = 160
    line = []
    for step in range(steps + 1):
        turn = step / steps * math.tau
        rise = sum(math.sin(turn * rate + phase) / 1.93**octave for octave, (rate, phase) in enumerate(waves))
        line.append((step / steps * width, base - rise * swing / 2))
    return line


def pines(rng: Random, ground: Sequence[Point], tall: float) -> list[Shape]:
    """Pines of about `tall` pixels standing on a ridge, in uneven stands."""
    trees: list[Shape] = []
    width = ground[-1][0]
    x = 0.0
    while x < width:
        foot = ground[round(x / width * (len(ground) - 1))][1] + tall * 0.1
        height = tall * rng.uniform(0.55, 1.15)
        trees.append(_pine((x, foot), height))
        x += height * rng.uniform(0.16, 0.5 if rng.random() < 0.85 else 2.2)
    return trees


def _pine(foot: Point, tall: float) -> Shape:
    x, ground = foot
    tiers = [(0.0, 1.0), (0.07, 0.74), (0.045, 0.74), (0.13, 0.44), (0.08, 0.44), (0.19, 0.06), (0.03, 0.0)]
    left = [(x - tall * across, ground - tall * up) for across, up in tiers]
    right = [(x + tall * across, ground - tall * up) for across, up in reversed(tiers)]
    return Polygon([*left, *right])


def palm(rng: Random, foot: Point, tall: float, frond: float) -> list[Shape]:
    """A slender palm with fronds of about `frond` pixels."""
    lean = rng.uniform(-0.05, 0.05)
    trunk = [(foot[0] + lean * tall * (up / 10) ** 2, foot[1] - tall * up / 10) for up in range(11)]
    turns = [rng.uniform(-0.15, 0.15) + turn * math.tau / 11 for turn in range(11)]
    return [Stroke(trunk, max(1.0, tall * 0.022)), *(_frond(trunk[-1], turn, frond) for turn in turns)]


def _frond(crown: Point, turn: float, length: float) -> Shape:
    """A leaf that leaves the crown at `turn` and droops."""
    across, rise = math.cos(turn), math.sin(turn) * 0.75
    spine = [
        (crown[0] + across * length * way, crown[1] - rise * length * way + length * 0.65 * way**2)
        for way in (0, 0.25, 0.5, 0.75, 1)
    ]
    underside = [
        (x, y + length * depth) for (x, y), depth in zip(spine[1:4], (0.13, 0.1, 0.075), strict=True)
    ]
    return Polygon([*spine, *reversed(underside)])


def tree(rng: Random, foot: Point, tall: float) -> tuple[list[Shape], list[Point]]:
    """A trunk that forks until its twigs are thin, and where the twigs end."""
    wood: list[Shape] = []
    tips: list[Point] = []

    def grow(start: Point, angle: float, length: float, width: float) -> None:
        end = start[0] + math.sin(angle) * length, start[1] - math.cos(angle) * length
        wood.extend([_limb(start, end, width), Disc(end, width * 0.36)])
        if width < tall * 0.009:
            tips.append(end)
            return
        for side in (-1, 1):
            grow(end, angle + side * rng.uniform(0.25, 0.6), length * rng.uniform(0.68, 0.84), width * 0.7)

    grow(foot, rng.uniform(-0.12, 0.12), tall * 0.3, tall * 0.062)
    return wood, tips


def _limb(start: Point, end: Point, width: float) -> Shape:
    """A branch that is thinner at its end."""
    length = math.dist(start, end) or 1.0
    across, down = (end[1] - start[1]) / length * width / 2, (start[0] - end[0]) / length * width / 2
    return Polygon(
        [
            (start[0] - across, start[1] - down),
            (start[0] + across, start[1] + down),
            (end[0] + across * 0.72, end[1] + down * 0.72),
            (end[0] - across * 0.72, end[1] - down * 0.72),
        ]
    )


def foliage(rng: Random, tips: Sequence[Point], spread: float, size: float, count: int) -> list[Shape]:
    """`count` leaves or blossoms of about `size` pixels around each twig."""
    return [
        Disc(
            (x + spread * rng.triangular(-2, 2), y + spread * rng.triangular(-1.6, 1.6)),
            size * rng.uniform(0.5, 1.2),
            squash=0.85,
        )
        for x, y in tips
        for _ in range(count)
    ]


def leaf(at: Point, length: float, angle: float) -> Shape:
    """One leaf or petal on the air."""
    (x, y), across, down = at, math.cos(angle) * length, math.sin(angle) * length
    return Polygon(
        [
            (x + across, y + down),
            (x - down * 0.55, y + across * 0.55),
            (x - across, y - down),
            (x + down * 0.55, y - across * 0.55),
        ]
    )


def towers(rng: Random, width: float, wide: float, tops: tuple[float, float], gap: float) -> list[Tower]:
    """A row of towers about `wide` pixels wide, up to `gap` of that apart."""
    row = []
    x = -wide / 2
    while x < width:
        across = wide * rng.uniform(0.65, 1.35)
        row.append((x, rng.uniform(*tops), x + across))
        x += across * rng.uniform(0.9, 1.3 + gap)
    return row


def wall(tower: Tower, ground: float) -> list[Shape]:
    """A tower and its mast."""
    left, top, right = tower
    mast = (left + right) / 2
    return [
        box(left, top, right, ground),
        Stroke([(mast, top), (mast, top - (right - left) * 0.5)], (right - left) * 0.04),
    ]


def window_places(tower: Tower, pitch: float, ground: float) -> list[Point]:
    """The upper left corner of each of a tower's windows."""
    left, top, right = tower
    columns, rows = int((right - left) / pitch) - 1, int((ground - top) / (pitch * 1.5))
    return [
        (left + (column + 0.75) * pitch, top + (row + 1) * pitch * 1.5)
        for row in range(rows)
        for column in range(columns)
    ]


def box(left: float, top: float, right: float, bottom: float) -> Shape:
    """A rectangle."""
    return Polygon([(left, top), (right, top), (right, bottom), (left, bottom)])


def cloud(at: Point, size: float) -> list[Shape]:
    """A long flat bank of cloud."""
    return [
        Disc((at[0] + puff * size * 0.55, at[1]), size * (0.75 - 0.16 * abs(puff)), squash=0.24)
        for puff in range(-2, 3)
    ]


PAPER_BOAT: dict[str, list[Point]] = {
    "sail": [(-0.44, -0.3), (0.0, -0.98), (0.44, -0.3), (0.0, -0.2)],
    "shaded sail": [(0.0, -0.98), (0.44, -0.3), (0.0, -0.2)],
    "hull": [(-1.0, -0.42), (-0.62, 0.0), (0.62, 0.0), (1.0, -0.42), (0.0, -0.22)],
}
"""The folds of a paper boat, half as long as they are units wide, its waterline at 0."""

# Half width, height, and the outline from the top down as (out, up), all of them shares of the two.
VESSELS: dict[str, tuple[float, float, list[Point]]] = {
    "bottle": (0.055, 0.36, [(0.34, 1.0), (0.3, 0.84), (0.34, 0.66), (0.94, 0.52), (1.0, 0.3), (0.96, 0.0)]),
    "bowl": (0.13, 0.13, [(1.0, 1.0), (0.95, 0.62), (0.72, 0.24), (0.42, 0.07), (0.46, 0.0)]),
    "jug": (0.085, 0.25, [(0.62, 1.0), (0.5, 0.84), (0.8, 0.6), (1.0, 0.32), (0.88, 0.1), (0.66, 0.0)]),
    "vase": (0.06, 0.3, [(0.6, 1.0), (0.34, 0.86), (0.46, 0.68), (1.0, 0.4), (0.84, 0.12), (0.55, 0.0)]),
}
LOAF: tuple[float, float, list[Point]] = (
    0.17,
    0.14,
    [(0.0, 1.0), (0.4, 0.98), (0.76, 0.84), (0.96, 0.5), (1.0, 0.2), (0.93, 0.0)],
)


def vessel(
    outline: tuple[float, float, list[Point]], x: float, ground: float, unit: float
) -> tuple[Shape, Shape, float]:
    """A vessel standing at `x`, its shaded side, and half its width in pixels."""
    half, tall, rim = outline
    curve = [(out * half * unit, ground - up * tall * unit) for out, up in _smooth(rim)]
    left, right = [(x - out, y) for out, y in curve], [(x + out, y) for out, y in reversed(curve)]
    shade = [(x + out * 0.35, y) for out, y in curve]
    return Polygon([*left, *right]), Polygon([*shade, *right]), half * unit


def _smooth(points: Sequence[Point]) -> list[Point]:
    """A curve through the points (Catmull and Rom's)."""
    padded = [points[0], *points, points[-1]]
    curve = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(8):
            way = step / 8
            curve.append(
                (
                    _between(before[0], start[0], end[0], after[0], way),
                    _between(before[1], start[1], end[1], after[1], way),
                )
            )
    return [*curve, points[-1]]


def _between(before: float, start: float, end: float, after: float, way: float) -> float:
    return (
        2 * start
        + (end - before) * way
        + (2 * before - 5 * start + 4 * end - after) * way**2
        + (3 * start - before - 3 * end + after) * way**3
    ) / 2
