"""The sandbox's pictures: a scene for the prompt, the prompt beneath it, encoded as asked.

The same prompt, seed and size always give the same bytes (with the same
Pillow).  Knows nothing of requests and tickets.
"""

import hashlib
import io
from collections.abc import Iterator
from functools import lru_cache
from random import Random

from PIL import Image, ImageDraw, ImageFont

from providers.painting import scenes
from providers.painting.canvas import Canvas

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

_ENCODINGS: dict[str, dict[str, int]] = {
    # Fast rather than small: whole queues are measured with these.
    "png": {"compress_level": 2},
    "jpeg": {"quality": 88},
    "webp": {"quality": 84, "method": 1},
}
_KEPT = 32
"""Pictures are kept so that one that is asked for again costs nothing: about 5 MB of 1024 x 1024."""

_MOST_LINES = 2
_SMALLEST_SIDE_WITH_CAPTION_PX = 160
_MEASURED_CHARACTERS = 1000
"""More than two lines of the widest picture hold, and little enough to measure often."""


@lru_cache(maxsize=_KEPT)
def draw(
    prompt: str, seed: int, width: int, height: int, output_format: str, *, painter: str = "sandbox"
) -> bytes:
    """The encoded picture.

    Args:
        prompt: any text at all.
        seed: another seed composes another picture.
        width: pixels.
        height: pixels.
        output_format: `png`, `jpeg` or `webp`.
        painter: whose name stands in the caption.
    """
    canvas = Canvas(width, height)
    rng = _chance(prompt, seed)
    scenes.paint(canvas, prompt, rng)
    if canvas.unit >= _SMALLEST_SIDE_WITH_CAPTION_PX:
        _caption(canvas.image, prompt, f"{painter} · seed {seed} · {width}x{height}")
    content = io.BytesIO()
    canvas.image.save(content, output_format.upper(), **_ENCODINGS[output_format])
    return content.getvalue()


def _chance(prompt: str, seed: int) -> Random:
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode(errors="replace")).digest()
    return Random(digest)


def _caption(image: Image.Image, prompt: str, small_print: str) -> None:
    """Set the prompt and the small print on a translucent band along the lower edge."""
    text_px = max(11, round((image.width * image.height) ** 0.5 / 46))
    text, small = ImageFont.load_default(text_px), ImageFont.load_default(max(9, round(text_px * 0.68)))
    margin = round(text_px * 1.3)
    lines = list(_wrapped(_drawable(prompt[:_MEASURED_CHARACTERS]), text, image.width - 2 * margin))
    top = image.height - round(text_px * (1.35 * len(lines) + 2.5))
    _shade(image, top, text_px)
    pen = ImageDraw.Draw(image)
    y = top + text_px * 0.75
    for line in lines:
        pen.text((margin, y), line, font=text, fill=(255, 255, 255))
        y += text_px * 1.35
    pen.text((margin, y + text_px * 0.2), small_print, font=small, fill=(206, 206, 206))


def _shade(image: Image.Image, top: int, feather: int) -> None:
    """Darken the rows below `top`, beginning gently a little above it."""
    start = max(0, top - feather * 2)
    column = Image.new("L", (1, image.height - start))
    for row in range(column.height):
        column.putpixel((0, row), round(150 * min(1.0, row / (feather * 3)) ** 1.5))
    image.paste((14, 14, 18), (0, start), column.resize((image.width, column.height)))


def _wrapped(text: str, font: Font, width: float) -> Iterator[str]:
    """At most two lines of `text` that fit, the last with an ellipsis when there is more."""
    rest = text
    for line_number in range(1, _MOST_LINES + 1):
        if font.getlength(rest) <= width:
            yield rest
            return
        fitting = _longest_fitting(rest, font, width)
        line = fitting.rpartition(" ")[0] or fitting[:-1] or fitting
        if line_number == _MOST_LINES:
            yield line.rstrip(" ,.;") + "…"
            return
        yield line
        rest = rest[len(line) :].lstrip()


def _longest_fitting(text: str, font: Font, width: float) -> str:
    """The longest beginning of `text` no wider than `width`, at least one character, found by halving."""
    fits, too_long = 1, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if font.getlength(text[:middle]) <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits]


def _drawable(text: str) -> str:
    """The text in one line, with a dot for each character that Pillow's own font lacks."""
    return "".join(letter if _has_glyph(letter) else "·" for letter in " ".join(text.split()))


@lru_cache(maxsize=4096)
def _has_glyph(letter: str) -> bool:
    font = ImageFont.load_default(16)
    return letter == " " or bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))
