"""Characters in colour on a cluttered ground, 32 x 32, drawn from a seed: a task shaped like CIFAR, made offline.

Only sums, products, quotients and roundings of float32 and the frozen generator MT19937 are used, so that equal
masks and an equal seed give equal bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHARACTERS", "PIXELS", "drawn"]

DIGITS = "0123456789"
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CHARACTERS = {
    "glyphs": DIGITS,
    "glyphs36": DIGITS + CAPITALS,
    "glyphs62": DIGITS + CAPITALS + CAPITALS.lower(),
}
PIXELS = 32

Floats = NDArray[np.float32]

_AT_ONCE = 250
_FULL_HEIGHT = 28.0  # of the digit 0 in a mask


def drawn(
    masks: NDArray[np.uint8], count: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return ``count`` images ``(count, 3, 32, 32)`` and their labels; image i shows character i modulo classes.

    ``masks`` is ``(fonts, classes, side, side)``. The character in the middle is 12 to 24 pixels high, turned by
    up to 25 degrees, sheared, stretched by up to 5/4, moved by up to 4 pixels; two others look in from the sides.
    """
    state = np.random.RandomState(seed)
    labels = np.arange(count, dtype=np.int64) % masks.shape[1]
    flat = masks.astype(np.float32).ravel() / np.float32(255)
    parts = [
        _images(masks.shape, flat, labels[start : start + _AT_ONCE], state)
        for start in range(0, count, _AT_ONCE)
    ]
    return np.concatenate(parts), labels


def _images(
    shape: tuple[int, ...], flat: Floats, labels: NDArray[np.int64], state: np.random.RandomState
) -> NDArray[np.uint8]:
    count = len(labels)
    ground = _uniform(state, count, 3, low=0.15, high=0.85)
    image = _ground(ground, state)
    for which, centre in _places(shape[1], labels, state):
        font = state.randint(0, shape[0], count)
        cover = _warped(flat, shape[-1], font * shape[1] + which, centre, state)
        colour = _colour(ground, state)[:, :, None, None]
        image += cover[:, None] * (colour - image)
    noise = np.frombuffer(state.bytes(2 * image.size), np.uint8).reshape(2, *image.shape)
    strength = _uniform(state, count, low=0.0, high=0.2)[:, None, None, None]
    image += strength * ((noise[0].astype(np.float32) + noise[1]) / np.float32(255) - 1)
    rounded: NDArray[np.uint8] = np.floor(np.clip(image, 0, 1) * 255 + np.float32(0.5)).astype(
        np.uint8
    )
    return rounded


def _places(
    classes: int, labels: NDArray[np.int64], state: np.random.RandomState
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield which character of each image stands where, two at opposite sides and last the one in the middle."""
    count = len(labels)
    axis = state.randint(0, 2, count)
    rows = np.arange(count)
    for side in (-1.0, 1.0):
        centre = _uniform(state, count, 2, low=-6.0, high=6.0)
        centre[rows, axis] = np.float32(side) * _uniform(state, count, low=15.0, high=21.0)
        yield state.randint(0, classes, count).astype(np.int64), centre
    yield labels, _uniform(state, count, 2, low=-4.0, high=4.0)


def _ground(colour: Floats, state: np.random.RandomState) -> Floats:
    """Return a ground ``(N, 3, 32, 32)``: its colour, a slope in a random direction, and large soft spots."""
    count = len(colour)
    line = np.linspace(-1, 1, PIXELS, dtype=np.float32)
    slope = _uniform(state, count, 3, 2, low=-0.2, high=0.2)
    slanted = slope[:, :, 0, None, None] * line + slope[:, :, 1, None, None] * line[:, None]
    image: Floats = colour[:, :, None, None] + slanted
    spots = _uniform(state, count, 3, 5, 5, low=-0.2, high=0.2)
    place = np.linspace(0, 4, PIXELS, dtype=np.float32)
    first = np.minimum(place.astype(np.int64), 3)
    share = place - first
    spots = spots[..., first] * (1 - share) + spots[..., first + 1] * share
    share = share[:, None]
    image += spots[:, :, first] * (1 - share) + spots[:, :, first + 1] * share
    return image


def _colour(ground: Floats, state: np.random.RandomState) -> Floats:
    """Return colours some way from the ground's to a corner of the cube, which is far in one channel at least."""
    count = len(ground)
    corner = state.randint(0, 2, (count, 3)).astype(np.float32)
    rows, channel = np.arange(count), state.randint(0, 3, count)
    corner[rows, channel] = ground[rows, channel] < 0.5
    way = _uniform(state, count, 1, low=0.35, high=0.85)
    colour: Floats = ground + way * (corner - ground)
    return colour


def _warped(
    flat: Floats,
    side: int,
    which: NDArray[np.int64],
    centre: Floats,
    state: np.random.RandomState,
) -> Floats:
    """Return the cover ``(N, 32, 32)`` of mask ``which`` under random affine maps around ``centre``.

    A turn by the angle a is written with t = tan(a/2): cos a = (1 - t^2)/(1 + t^2), sin a = 2t/(1 + t^2).
    """
    count = len(which)
    t = _uniform(state, count, low=-0.2217, high=0.2217)
    cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    shear = _uniform(state, count, low=-0.25, high=0.25)
    height = _uniform(state, count, low=12.0, high=24.0) / np.float32(_FULL_HEIGHT)
    width = height * _uniform(state, count, low=0.8, high=1.25)
    middle = np.float32((PIXELS - 1) / 2)
    line = np.arange(PIXELS, dtype=np.float32) - middle
    x = (line - centre[:, :1])[:, None, :]
    y = (line - centre[:, 1:])[:, :, None]
    cos, sin, shear, height, width = (
        item[:, None, None] for item in (cos, sin, shear, height, width)
    )
    turned_y = (cos * y - sin * x) / height
    turned_x = (cos * x + sin * y) / width + shear * turned_y
    return _sampled(flat, side, which, turned_x, turned_y)


def _sampled(flat: Floats, side: int, which: NDArray[np.int64], x: Floats, y: Floats) -> Floats:
    """Return the masks at ``x, y`` from their middles, bilinear; they are empty at their edges and beyond."""
    middle, least, most = np.float32((side - 1) / 2), np.float32(0), np.float32(side - 1.001)
    x = np.minimum(np.maximum(x + middle, least), most)
    y = np.minimum(np.maximum(y + middle, least), most)
    column, row = x.astype(np.int64), y.astype(np.int64)
    right, below = x - column.astype(np.float32), y - row.astype(np.float32)
    start = which[:, None, None] * (side * side) + row * side + column
    upper = flat.take(start) * (1 - right) + flat.take(start + 1) * right
    lower = flat.take(start + side) * (1 - right) + flat.take(start + side + 1) * right
    return np.asarray(upper * (1 - below) + lower * below, np.float32)


def _uniform(state: np.random.RandomState, *shape: int, low: float, high: float) -> Floats:
    drawn: Floats = (low + (high - low) * state.random_sample(shape)).astype(np.float32)
    return drawn
