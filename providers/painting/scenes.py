"""What the sandbox paints: seven scenes, and which words of a prompt call for which.

A scene is composed in fractions of the picture's width and height, things
with proportions in units of its shorter side, and every choice comes from the
`Random` it is given.  The lowest fifth stays calm: the caption goes there.
"""

import math
import re
from collections.abc import Callable, Sequence
from random import Random

from providers.painting import motifs, palettes
from providers.painting.canvas import Canvas, Colour, Disc, Point, Polygon, Shape, Stroke, mixed
from providers.painting.palettes import Palette

Scene = Callable[[Canvas, Palette, Random], None]

_WHITE = (255, 255, 255)


def paint(canvas: Canvas, prompt: str, rng: Random) -> None:
    """Paint the scene that the words of `prompt` call for, or one that `rng` chooses."""
    words = frozenset(re.findall(r"[a-z]+", prompt.lower()))
    called = max(_THEMES, key=lambda theme: len(words & VOCABULARY[theme]))
    theme = called if words & VOCABULARY[called] else rng.choice(sorted(_THEMES))
    palette, scene = _THEMES[theme]
    scene(canvas, palette, rng)


def mountains(canvas: Canvas, palette: Palette, rng: Random) -> None:
    """Ridge behind ridge in the mist, pines on the nearest, and a road with one spark of colour on it."""
    _sky(canvas, palette, rng, height=rng.uniform(0.2, 0.34))
    for nearness in (0.0, 0.25, 0.5, 0.75, 1.0):
        base = 0.36 + 0.4 * nearness**1.1
        line = motifs.crest(rng, canvas.width, base * canvas.height, (0.17 - 0.09 * nearness) * canvas.height)
        colour = mixed(palette.far, palette.near, nearness)
        mist = mixed(colour, palette.horizon, 0.75 - 0.5 * nearness)
        trees = motifs.pines(rng, line, canvas.unit * (0.025 + 0.1 * nearness**2)) if nearness > 0.4 else []
        canvas.fill([_below(canvas, line), *trees], colour, mist, mist)
    _winding_road(canvas, palette, rng)


def skyline(canvas: Canvas, palette: Palette, rng: Random) -> None:
    """Towers behind towers, their windows lit, their heads in low clouds."""
    canvas.wash(palette.zenith, palette.middle, palette.horizon)
    canvas.glow(
        (canvas.width * rng.uniform(0.3, 0.7), canvas.height * 0.78), canvas.unit, palette.light, 0.75
    )
    for nearness in (0.0, 0.45, 1.0):
        tops = canvas.height * (0.2 + 0.2 * nearness), canvas.height * (0.62 + 0.2 * nearness)
        wide = canvas.unit * 0.075 * (1 + nearness * 0.7)
        row = motifs.towers(rng, canvas.width, wide, tops, gap=nearness * 0.9)
        colour = mixed(palette.far, palette.near, nearness)
        walls = [shape for tower in row for shape in motifs.wall(tower, canvas.height)]
        canvas.fill(walls, colour, mixed(colour, palette.light, 0.42 * (1 - nearness)))
        _windows(canvas, palette, rng, row, nearness)
        if nearness < 1:
            _clouds(canvas, mixed(palette.middle, palette.light, 0.3), rng, between=(0.12, 0.3), opacity=0.35)
    _neon_signs(canvas, palette, rng, row)
    _flying_lights(canvas, palette, rng)


def water(canvas: Canvas, palette: Palette, rng: Random) -> None:
    """Clouds, a far shore and their reflection, with a paper boat on it."""
    _sky(canvas, palette, rng, height=rng.uniform(0.22, 0.36))
    _clouds(canvas, mixed(palette.horizon, palette.light, 0.6), rng, between=(0.08, 0.4), opacity=0.6)
    horizon = 0.56
    for nearness in (0.0, 0.6):
        base = horizon - 0.035 + 0.02 * nearness
        line = motifs.crest(rng, canvas.width, base * canvas.height, 0.05 * canvas.height)
        shore = mixed(palette.far, palette.near, nearness)
        canvas.fill([_below(canvas, line, horizon)], shore, mixed(shore, palette.horizon, 0.5))
    canvas.mirror(horizon, palette.zenith, rng)
    _glints(canvas, palette, rng, horizon)
    _paper_boat(canvas, palette, (canvas.width * rng.uniform(0.36, 0.64), canvas.height * 0.7))


def boughs(canvas: Canvas, palette: Palette, rng: Random) -> None:
    """A tree on a rise, its crown in bloom or in flame, and what drifts from it."""
    side = rng.choice((0.32, 0.66))
    _sky(canvas, palette, rng, height=0.4, across=1 - side)
    for base, share in ((0.6, 0.15), (0.7, 0.5)):
        line = motifs.crest(rng, canvas.width, base * canvas.height, 0.06 * canvas.height, octaves=2)
        ground = mixed(palette.far, palette.near, share)
        canvas.fill([_below(canvas, line)], mixed(ground, palette.light, 0.25), ground)
    foot = canvas.width * side, canvas.height * 0.77
    shadow = Disc(
        (foot[0] + canvas.unit * (0.1 if side < 0.5 else -0.1), foot[1]), canvas.unit * 0.26, squash=0.09
    )
    canvas.fill([shadow], palette.near, opacity=0.4, blur=canvas.unit * 0.01)
    wood, tips = motifs.tree(rng, foot, canvas.unit * 0.56)
    canvas.fill(wood, mixed(palette.near, palette.far, 0.2), palette.near)
    _crown(canvas, palette, rng, tips)
    _drift(canvas, palette, rng)


def interior(canvas: Canvas, palette: Palette, rng: Random) -> None:
    """A wall with a window's light on it, herbs from the beam, and a still life on the table."""
    table = 0.72
    canvas.wash(palette.zenith, palette.middle, palette.horizon)
    _window_light(canvas, palette, rng)
    canvas.wash(palette.near, mixed(palette.near, palette.far, 0.25), bottom=0.055)
    _herbs(canvas, palette, rng)
    wood = mixed(palette.far, palette.near, 0.25)
    canvas.wash(mixed(wood, palette.light, 0.3), wood, mixed(wood, palette.near, 0.6), top=table)
    _still_life(canvas, palette, rng, ground=canvas.height * (table + 0.035))
    canvas.glow((canvas.width * 0.1, 0), canvas.unit * 0.9, palette.light, 0.35)


def ribbons(canvas: Canvas, palette: Palette, rng: Random) -> None:
    """Flowing bands as of hair or silk, and soft discs of light."""
    canvas.wash(palette.zenith, palette.middle, palette.horizon)
    canvas.glow(
        (canvas.width * rng.uniform(0.25, 0.75), canvas.height * 0.3), canvas.unit * 0.8, palette.light, 0.9
    )
    _bokeh(canvas, palette, rng, count=9, size=0.12)
    phase, tilt = rng.uniform(0, math.tau), rng.choice((-1, 1)) * rng.uniform(0.25, 0.4)
    for band in range(7):
        nearness = band / 6
        line = _wave(canvas, 0.4 + 0.5 * nearness, phase + nearness * 2.6, tilt)
        tone = mixed(palette.far, palette.near, nearness)
        silk = mixed(tone, palette.light, 0.35), tone, mixed(tone, palette.near, 0.3), palette.near
        canvas.fill([_below(canvas, line)], *silk, opacity=0.88)
        canvas.fill([Stroke(line, canvas.unit * 0.004)], mixed(tone, palette.light, 0.7), opacity=0.4)
    _bokeh(canvas, palette, rng, count=7, size=0.06)


def avenue(canvas: Canvas, palette: Palette, rng: Random) -> None:
    """A street that runs to the hills between palms, under a great sun."""
    vanishing = _sky(canvas, palette, rng, height=0.36)
    horizon = 0.62
    for base, share in ((horizon - 0.1, 0.0), (horizon - 0.03, 0.35)):
        line = motifs.crest(rng, canvas.width, base * canvas.height, 0.07 * canvas.height)
        hill = mixed(palette.far, palette.near, share)
        canvas.fill([_below(canvas, line, horizon)], hill, mixed(hill, palette.horizon, 0.6))
    _street(canvas, palette, (vanishing * canvas.width, horizon * canvas.height))
    for near in (0.06, 0.14, 0.3, 0.62, 1.15):
        for side in (-1, 1):
            foot = (
                vanishing * canvas.width + side * near * canvas.unit * 0.72,
                horizon * canvas.height + near * canvas.unit * 0.13,
            )
            tall = canvas.unit * (0.09 + 0.55 * near**0.75) * rng.uniform(0.9, 1.1)
            _palm_and_shadow(canvas, palette, rng, foot, tall)


def _sky(canvas: Canvas, palette: Palette, rng: Random, height: float, across: float | None = None) -> float:
    """A gradient with a sun or moon in it; gives where that stands, as a fraction of the width."""
    canvas.wash(palette.zenith, palette.middle, palette.horizon, palette.horizon)
    across = rng.uniform(0.3, 0.7) if across is None else across
    centre = canvas.width * across, canvas.height * height
    canvas.glow(centre, canvas.unit * 0.75, palette.light, 0.8)
    sun = Disc(centre, canvas.unit * rng.uniform(0.06, 0.1))
    canvas.fill([sun], palette.light, mixed(palette.light, palette.horizon, 0.35))
    return across


def _below(canvas: Canvas, line: Sequence[Point], floor: float = 1.0) -> Shape:
    """Everything under a line from edge to edge, down to `floor` of the height."""
    ground = floor * canvas.height
    return Polygon([(0, ground), *((x, min(y, ground)) for x, y in line), (canvas.width, ground)])


def _wave(canvas: Canvas, base: float, phase: float, tilt: float) -> list[Point]:
    """One long smooth wave across the picture, rising to the right by `tilt`."""
    places = [step / 80 for step in range(81)]
    return [
        (way * canvas.width, canvas.height * (base - (way - 0.5) * tilt + 0.1 * math.sin(phase + way * 4.6)))
        for way in places
    ]


def _winding_road(canvas: Canvas, palette: Palette, rng: Random) -> None:
    start = canvas.width * rng.uniform(0.35, 0.6)
    road = []
    for step in range(41):
        way = step / 40
        bend = math.sin(way * 7.5 + 0.6) * canvas.unit * (0.05 + 0.22 * way)
        road.append(
            (start + bend, canvas.height * (0.6 + 0.42 * way**1.4), canvas.unit * (0.004 + 0.075 * way**1.6))
        )
    left, right = [(x - wide, y) for x, y, wide in road], [(x + wide, y) for x, y, wide in reversed(road)]
    canvas.fill([Polygon([*left, *right])], mixed(palette.horizon, palette.near, 0.25), palette.far)
    x, y, wide = road[23]
    canvas.glow((x, y - wide * 0.5), wide * 4, palette.spark, 0.35)
    outline = [
        (-0.62, 0),
        (-0.62, -0.7),
        (-0.5, -0.75),
        (-0.36, -1.25),
        (0.36, -1.25),
        (0.5, -0.75),
        (0.62, -0.7),
    ]
    car = Polygon([(x + wide * across, y + wide * down) for across, down in [*outline, (0.62, 0)]])
    canvas.fill([car], palette.spark, mixed(palette.spark, palette.near, 0.35))


def _windows(
    canvas: Canvas, palette: Palette, rng: Random, row: Sequence[motifs.Tower], nearness: float
) -> None:
    pitch = max(2.0, canvas.unit * (0.009 + 0.006 * nearness))
    places = [at for tower in row for at in motifs.window_places(tower, pitch, canvas.height * 0.86)]
    warm: list[Shape] = []
    cold: list[Shape] = []
    for x, y in places:
        if rng.random() < 0.3:
            pane = motifs.box(x, y, x + pitch * 0.5, y + pitch * 0.7)
            (cold if rng.random() < 0.28 else warm).append(pane)
    for panes, colour in ((warm, palette.light), (cold, palette.spark)):
        canvas.fill(panes, colour, opacity=0.35 + 0.5 * nearness)


def _neon_signs(canvas: Canvas, palette: Palette, rng: Random, row: Sequence[motifs.Tower]) -> None:
    for left, top, right in row[:: rng.choice((2, 3))]:
        x, y, tall = left + (right - left) * 0.18, top + canvas.unit * 0.05, canvas.unit * 0.14
        canvas.glow((x, y + tall / 2), tall, palette.spark, 0.5)
        sign = Stroke([(x, y), (x, y + tall)], canvas.unit * 0.008)
        canvas.fill([sign], mixed(palette.spark, _WHITE, 0.45), palette.spark)


def _flying_lights(canvas: Canvas, palette: Palette, rng: Random) -> None:
    for _ in range(7):
        x, y = canvas.width * rng.uniform(0.08, 0.92), canvas.height * rng.uniform(0.22, 0.6)
        trail = canvas.unit * rng.uniform(0.04, 0.09) * rng.choice((-1, 1))
        canvas.glow((x, y), canvas.unit * 0.035, palette.light, 0.9)
        canvas.fill(
            [Stroke([(x, y), (x - trail, y + abs(trail) * 0.12)], canvas.unit * 0.0035)], palette.light
        )


def _clouds(
    canvas: Canvas, colour: Colour, rng: Random, between: tuple[float, float], opacity: float
) -> None:
    """Long soft banks of cloud between two fractions of the height."""
    banks = [
        shape
        for _ in range(9)
        for shape in motifs.cloud(
            (canvas.width * rng.random(), canvas.height * rng.uniform(*between)),
            canvas.unit * rng.uniform(0.08, 0.26),
        )
    ]
    canvas.fill(banks, colour, opacity=opacity, blur=canvas.unit * 0.018)


def _glints(canvas: Canvas, palette: Palette, rng: Random, horizon: float) -> None:
    """Short glints on the water, longer towards us."""
    glints = []
    for _ in range(90):
        nearness = rng.random() ** 1.6
        at = canvas.width * rng.random(), canvas.height * (horizon + 0.012 + (0.98 - horizon) * nearness)
        length = canvas.unit * (0.01 + 0.06 * nearness) * rng.uniform(0.6, 1.4)
        glints.append(Disc(at, length, squash=0.045))
    canvas.fill(glints, palette.light, opacity=0.42)


def _paper_boat(canvas: Canvas, palette: Palette, keel: Point) -> None:
    """A folded boat with its waterline at `keel`, and its reflection."""
    size = canvas.unit * 0.13
    paper = mixed(palette.light, _WHITE, 0.7)
    for fold, outline in motifs.PAPER_BOAT.items():
        colour = mixed(paper, palette.zenith, 0.22) if fold == "shaded sail" else paper
        for height, opacity in ((-0.8, 0.35), (1.0, 1.0)):
            shape = Polygon([(keel[0] + x * size, keel[1] + y * size * height) for x, y in outline])
            canvas.fill([shape], mixed(colour, _WHITE, 0.3), colour, opacity=opacity)


def _crown(canvas: Canvas, palette: Palette, rng: Random, tips: Sequence[Point]) -> None:
    """Three coats of leaves or blossom around the twigs, from shade to light."""
    shade, light = mixed(palette.spark, palette.near, 0.3), mixed(palette.spark, palette.light, 0.6)
    lift = canvas.unit * 0.012
    for coat, (colour, spread, size, count) in enumerate(
        ((shade, 0.045, 0.022, 8), (palette.spark, 0.052, 0.015, 10), (light, 0.05, 0.0085, 9))
    ):
        raised = [(x, y - lift * coat) for x, y in tips]
        leaves = motifs.foliage(rng, raised, canvas.unit * spread, canvas.unit * size, count)
        canvas.fill(leaves, mixed(colour, palette.light, 0.15), colour, opacity=0.92)


def _drift(canvas: Canvas, palette: Palette, rng: Random) -> None:
    """Petals or leaves on the air, a few of them close and out of focus."""
    for count, size, blur in ((70, 0.007, 0.0), (8, 0.022, 0.006)):
        falling = [
            motifs.leaf(
                (canvas.width * rng.random(), canvas.height * rng.uniform(0.15, 0.95)),
                canvas.unit * size,
                rng.uniform(0, math.pi),
            )
            for _ in range(count)
        ]
        canvas.fill(falling, mixed(palette.spark, palette.light, 0.35), opacity=0.8, blur=canvas.unit * blur)


def _window_light(canvas: Canvas, palette: Palette, rng: Random) -> None:
    """The slanted light of four panes on the wall."""
    wide, tall, slant = canvas.unit * 0.3, canvas.unit * 0.22, 0.3
    left = (canvas.width - 2 * wide) * rng.uniform(0.4, 0.65)
    panes = []
    for column in range(2):
        for row in range(2):
            x, y = (
                left + column * wide * 1.08,
                canvas.height * 0.14 + row * tall * 1.1 + column * wide * slant,
            )
            drop = y + wide * slant
            panes.append(Polygon([(x, y), (x + wide, drop), (x + wide, drop + tall), (x, y + tall)]))
    canvas.fill(panes, palette.light, opacity=0.62, blur=canvas.unit * 0.007)
    canvas.glow((left + wide, canvas.height * 0.36), canvas.unit * 0.7, palette.light, 0.4)


def _herbs(canvas: Canvas, palette: Palette, rng: Random) -> None:
    """Bunches of herbs hung head down from the beam."""
    for bunch in range(5):
        x, reach = (
            canvas.width * (0.09 + 0.205 * bunch + rng.uniform(-0.03, 0.03)),
            canvas.unit * rng.uniform(0.11, 0.18),
        )
        beam = canvas.height * 0.05
        for tone in (0.5, 0.2):
            green = mixed(palette.spark, palette.near, tone)
            twigs: list[Shape] = [Stroke([(x, beam), (x, beam + reach * 0.4)], canvas.unit * 0.005)]
            for _ in range(26):
                way, lean = rng.random(), rng.gauss(0, 0.16)
                at = x + lean * reach * (0.3 + way), beam + reach * (0.3 + 0.8 * way)
                twigs.append(motifs.leaf(at, reach * 0.11, math.pi / 2 + rng.gauss(0, 0.5)))
            canvas.fill(twigs, green, mixed(green, palette.light, 0.2))


def _still_life(canvas: Canvas, palette: Palette, rng: Random, ground: float) -> None:
    """Vessels and a loaf side by side, in the quiet manner of Morandi."""
    cream, clay = mixed(palette.light, palette.far, 0.15), mixed(palette.far, palette.near, 0.2)
    sage, crust = mixed(palette.spark, palette.light, 0.35), mixed(palette.far, palette.light, 0.25)
    names = rng.sample(sorted(motifs.VESSELS), 3)
    tones = [*rng.sample([cream, clay, sage], 3), crust]
    outlines = [*(motifs.VESSELS[name] for name in names), motifs.LOAF]
    x = canvas.width / 2 - sum(outline[0] for outline in outlines) * canvas.unit
    for outline, tone in zip(outlines, tones, strict=True):
        x += outline[0] * canvas.unit
        body, shade, half = motifs.vessel(outline, x, ground, canvas.unit)
        cast = Disc((x + half * 0.6, ground), half * 1.2, squash=0.15)
        canvas.fill([cast], palette.near, opacity=0.45, blur=canvas.unit * 0.01)
        canvas.fill([body], mixed(tone, palette.light, 0.3), mixed(tone, palette.near, 0.15))
        canvas.fill([shade], palette.near, opacity=0.16)
        x += half + canvas.unit * 0.012


def _bokeh(canvas: Canvas, palette: Palette, rng: Random, count: int, size: float) -> None:
    """Discs of light out of focus."""
    for _ in range(count):
        centre = canvas.width * rng.random(), canvas.height * rng.uniform(0.05, 0.75)
        disc = Disc(centre, canvas.unit * size * rng.uniform(0.35, 1))
        colour = mixed(palette.light, palette.spark, rng.random() * 0.6)
        canvas.fill([disc], colour, opacity=rng.uniform(0.12, 0.3), blur=canvas.unit * 0.004)


def _street(canvas: Canvas, palette: Palette, vanishing: Point) -> None:
    """Verges and an empty street with a broken line, running to a point on the horizon."""
    (x, y), depth, reach = vanishing, canvas.height - vanishing[1], canvas.unit * 0.55
    verge = mixed(palette.far, palette.horizon, 0.6)
    canvas.wash(verge, mixed(verge, palette.far, 0.7), top=y / canvas.height)
    asphalt = mixed(palette.near, palette.middle, 0.35)
    way = Polygon([(x, y), (x - reach, canvas.height), (x + reach, canvas.height)])
    canvas.fill([way], mixed(asphalt, palette.light, 0.5), asphalt)
    dashes = [
        Polygon(
            [
                (x - reach * 0.02 * start, y + depth * start),
                (x + reach * 0.02 * start, y + depth * start),
                (x + reach * 0.02 * end, y + depth * end),
                (x - reach * 0.02 * end, y + depth * end),
            ]
        )
        for start, end in ((0.12, 0.16), (0.22, 0.29), (0.38, 0.5), (0.66, 0.88))
    ]
    canvas.fill(dashes, palette.light, opacity=0.8)


def _palm_and_shadow(canvas: Canvas, palette: Palette, rng: Random, foot: Point, tall: float) -> None:
    near = tall / canvas.unit
    shadow = Stroke([foot, (foot[0] + tall * 0.75, foot[1] + tall * 0.14)], max(1.0, tall * 0.02))
    canvas.fill([shadow], palette.near, opacity=0.3)
    colour = mixed(palette.far, palette.near, min(1.0, 0.3 + near * 1.4))
    frond = tall * (0.4 - 0.16 * min(1.0, near))
    canvas.fill(motifs.palm(rng, foot, tall, frond), mixed(colour, palette.spark, 0.45), colour)


_THEMES: dict[str, tuple[Palette, Scene]] = {
    "street": (palettes.DAYLIGHT, avenue),
    "city": (palettes.NEON, skyline),
    "mountain": (palettes.FOG, mountains),
    "autumn": (palettes.AUTUMN, boughs),
    "blossom": (palettes.SPRING, boughs),
    "water": (palettes.RAIN, water),
    "kitchen": (palettes.HEARTH, interior),
    "portrait": (palettes.SKIN, ribbons),
    "dusk": (palettes.AUTUMN, mountains),
    "dream": (palettes.NEON, ribbons),
}
VOCABULARY: dict[str, frozenset[str]] = {
    theme: frozenset(words.split())
    for theme, words in {
        "street": "street palm palms beach summer sunny sun desert road avenue hollywood angeles tropical",
        "city": "city neon night skyline futuristic skyscraper skyscrapers cyberpunk tower towers robot",
        "mountain": "mountain mountains fog foggy mist misty pine forest forests winter snow valley",
        "autumn": "autumn fall leaves golden amber orange harvest october tree oak fox",
        "blossom": "blossom cherry blooming petals spring garden flower flowers pink meadow sakura rose",
        "water": "water sea ocean lake rain river puddle boat harbour harbor ship waves island reflections",
        "kitchen": "kitchen bread rustic table food coffee tea cup wooden herbs room interior candle cake",
        "portrait": "portrait woman man face hair girl boy skin freckles dress silk dance elegant close",
        "dusk": "sunset dusk dawn sunrise horizon evening canyon hills landscape volcano warm",
        "dream": "dream abstract surreal galaxy aurora magic cosmic purple glowing fantasy crystal liquid",
    }.items()
}
