"""The shapes of characters as grey masks: every font that ships with matplotlib and holds plain text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemegen.diagnostics import UsageError

__all__ = ["FONTS", "SIDE", "masks"]

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    "cmr10", "cmb10", "cmss10", "cmtt10", "cmti10",
)  # fmt: skip
"""DejaVu, STIX and Computer Modern, upright and slanted, light and bold; no symbols, no calligraphy."""

SIDE = 56
_FINE = 4
_HEIGHT = 28


def masks(characters: str) -> NDArray[np.uint8]:
    """Return the coverage of each character in each font, ``(fonts, characters, SIDE, SIDE)`` bytes.

    A font is scaled until its digit 0 is 28 pixels high, drawn four times as large, and averaged over
    squares of 4 x 4; a character stands in the middle of its square.

    Errors: :class:`UsageError` where matplotlib, or one of its fonts, is missing.
    """
    folder = _folder()
    drawn = [_drawn(folder / f"{name}.ttf", characters) for name in FONTS]
    return np.stack(drawn)


def _folder() -> Path:
    try:
        import matplotlib
        from PIL import ImageFont  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the glyphs are drawn with the fonts of matplotlib, and `{error.name}` is not installed",
            "pip install 'schemegen[plot]'",
        ) from error
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def _drawn(path: Path, characters: str) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    if not path.is_file():
        raise UsageError(
            f"the font {path.name} is not in matplotlib's folder {path.parent}",
            "pip install --force-reinstall matplotlib brings it back",
        )
    side = SIDE * _FINE
    probe = ImageFont.truetype(str(path), 200, layout_engine=ImageFont.Layout.BASIC)
    _, top, _, bottom = probe.getbbox("0")
    size = round(200 * _HEIGHT * _FINE / (bottom - top))
    font = ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    found = []
    for character in characters:
        canvas = Image.new("L", (side, side))
        left, top, right, bottom = font.getbbox(character)
        corner = (side // 2 - (left + right) // 2, side // 2 - (top + bottom) // 2)
        ImageDraw.Draw(canvas).text(corner, character, font=font, fill=255)
        found.append(_averaged(np.asarray(canvas)))
    return np.stack(found)


def _averaged(drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the rounded means over squares of 4 x 4, in whole numbers."""
    squares = drawn.reshape(SIDE, _FINE, SIDE, _FINE).sum(axis=(1, 3), dtype=np.uint32)
    rounded: NDArray[np.uint8] = ((squares + _FINE**2 // 2) // _FINE**2).astype(np.uint8)
    return rounded
