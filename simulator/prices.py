"""What a picture costs, US dollars.

Black Forest Labs: 4 credits for flux-pro-1.1, 5 for fill, 5 per megapixel of flux-2-flex, in and out
(specs of the vendor, read 2026-11).  Runware: 0.04 for bfl:2@1 in its samples.  Wiro's and Vtrix's own
prices are documented nowhere: the simulator takes those of Black Forest Labs.
"""

from decimal import Decimal

FLUX_PRO_11 = Decimal("0.04")
FILL = Decimal("0.05")
_FLEX_PER_MEGAPIXEL = Decimal("0.05")
_MEGAPIXEL = 1024 * 1024
_EXACTLY = Decimal("0.000001")


def megapixels(width: int, height: int) -> Decimal:
    """How many, of 1024 x 1024 pixels; the unit that is billed is documented nowhere."""
    return (Decimal(width * height) / _MEGAPIXEL).quantize(_EXACTLY)


def flux_2_flex(width: int, height: int, pictures_in: int) -> Decimal:
    """By megapixels; a picture that is sent along counts as one, whatever its size."""
    return (_FLEX_PER_MEGAPIXEL * (megapixels(width, height) + pictures_in)).quantize(_EXACTLY)
