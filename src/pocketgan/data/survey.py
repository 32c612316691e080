"""Facts of a sample of the files of a data set: sizes, channels, and the values of images of more than 8 bits."""

from __future__ import annotations

from pocketgan.data.config import Role
from pocketgan.data.decode import BadImage, ImageFile
from pocketgan.data.geometry import Size
from pocketgan.data.listing import Listing, extremes_of

_SAMPLED = 16  # files whose headers are read
_SIXTEEN_BITS = 0.0, 65535.0
_LITTLE = 0.25  # share of its range that an image should use


def sizes_of(listing: Listing) -> str:
    """Sizes of the images in a sample of each role, in words: ``256x256``, or ``inputs 64x64, targets 100x80 to 128x128``."""
    texts = {role: text for role in listing.items if (text := _sizes(listing, role))}
    if len({*texts.values()}) < 2:
        return next(iter(texts.values()), "")
    return ", ".join(f"{role}s {text}" for role, text in texts.items())


def value_notes(listing: Listing) -> tuple[str, ...]:
    """Notes on images of more than 8 bits: values beyond their range, and those that use little of it."""
    notes = []
    for role, items in listing.items.items():
        if listing.labels and role == "input":
            continue
        used, (low, high) = extremes_of([item.path for item in items]), listing.ranges.get(role, _SIXTEEN_BITS)
        if used is None:
            continue
        least, most = used
        values = f"{role}s hold {least:g} to {most:g} in a range of {low:g}..{high:g}"
        if (min(most, high) - max(least, low)) < _LITTLE * (high - low):
            notes.append(f"{values}, less than a quarter of it: data.range={least:g}..{most:g} or data.range=auto uses it all")
        elif least < low or most > high:
            notes.append(f"{values}: those beyond are clipped")
        elif role in listing.ranges:
            notes.append(values)
    return tuple(notes)


def _sizes(listing: Listing, role: Role) -> str:
    count = len(listing.items[role])
    indices = range(0, count, max(1, count // _SAMPLED))
    sizes = {size for index in indices if (size := _size(listing, role, index))}
    if not sizes:
        return ""
    texts = [f"{width}x{height}" for width, height in (min(sizes, key=_area), max(sizes, key=_area))]
    return " to ".join(dict.fromkeys(texts)) if len(sizes) > 1 else texts[0]


def _area(size: Size) -> tuple[int, Size]:
    return size[0] * size[1], size


def _size(listing: Listing, role: Role, index: int) -> Size | None:
    try:
        return listing.open({role: index}).size(role)
    except BadImage:
        return None  # checking or reading names it


def channels_of(listing: Listing, role: Role) -> int:
    """Channels of the first image of a role that can be read: 3, or 4 with a fourth band that is no opacity."""
    for item in listing.items[role]:
        try:
            return ImageFile(item.path, opacity=listing.opacity).channels
        except BadImage:
            continue
    return 3
