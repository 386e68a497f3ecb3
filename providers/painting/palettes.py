"""The sandbox's colours: eight moods, each a sky and what stands under it."""

from dataclasses import dataclass

from providers.painting.canvas import Colour


@dataclass(frozen=True, slots=True)
class Palette:
    """A sky from zenith to horizon, the light in it, distance, nearness, and one spark of colour."""

    zenith: Colour
    middle: Colour
    horizon: Colour
    light: Colour
    far: Colour
    near: Colour
    spark: Colour


DAYLIGHT = Palette(
    zenith=(38, 104, 178),
    middle=(112, 176, 218),
    horizon=(250, 226, 188),
    light=(255, 246, 214),
    far=(172, 148, 140),
    near=(40, 50, 58),
    spark=(74, 128, 74),
)
NEON = Palette(
    zenith=(10, 8, 32),
    middle=(46, 20, 84),
    horizon=(190, 58, 132),
    light=(255, 176, 120),
    far=(74, 38, 110),
    near=(12, 10, 28),
    spark=(60, 226, 240),
)
FOG = Palette(
    zenith=(128, 148, 160),
    middle=(176, 190, 196),
    horizon=(216, 222, 220),
    light=(240, 240, 232),
    far=(158, 176, 182),
    near=(28, 46, 50),
    spark=(208, 50, 40),
)
AUTUMN = Palette(
    zenith=(118, 110, 142),
    middle=(222, 152, 112),
    horizon=(252, 206, 138),
    light=(255, 236, 186),
    far=(176, 104, 62),
    near=(58, 34, 32),
    spark=(222, 104, 34),
)
SPRING = Palette(
    zenith=(126, 170, 206),
    middle=(190, 210, 220),
    horizon=(252, 226, 218),
    light=(255, 246, 224),
    far=(148, 176, 128),
    near=(62, 54, 52),
    spark=(238, 142, 170),
)
RAIN = Palette(
    zenith=(66, 100, 132),
    middle=(132, 166, 188),
    horizon=(226, 220, 206),
    light=(250, 240, 220),
    far=(112, 138, 146),
    near=(38, 60, 70),
    spark=(226, 120, 80),
)
HEARTH = Palette(
    zenith=(112, 80, 58),
    middle=(184, 140, 98),
    horizon=(214, 174, 126),
    light=(255, 230, 176),
    far=(150, 98, 60),
    near=(54, 34, 26),
    spark=(104, 130, 78),
)
SKIN = Palette(
    zenith=(84, 62, 70),
    middle=(176, 124, 108),
    horizon=(236, 190, 160),
    light=(255, 228, 200),
    far=(204, 138, 104),
    near=(86, 42, 40),
    spark=(226, 132, 96),
)
