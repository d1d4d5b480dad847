"""The one definition of how an image of any size comes to lie in the network's input.

The image is width x height pixels, the input `W` x `H`. `round` rounds a half to the even neighbour, as Python's does;
`//` rounds down. All numbers are double precision, computed in the order that is written here.

crop: `covered = max(side, round(side / crop_fraction))` of both sides of the input; the image is scaled by the larger
of covered H / height and covered W / width, which leaves its ratio, to `max(W, round(width * scale))` by
`max(H, round(height * scale))`. Of that the window of W x H pixels is taken that begins at
`round((resized - side) / 2)`: the centre.

squash: the image is resized to covered W x covered H, whatever its ratio, and the centre is taken likewise. With a
crop fraction of 1, which is usual here, that is the input itself.

letterbox: the image is scaled by the smaller of H / height and W / width to `min(W, max(1, round(width * scale)))` by
`min(H, max(1, round(height * scale)))`, and lies in the middle of the input: `free // 2` pixels of padding are left of
it and above, so that an odd one is on the right or below. The rest has the padding colour.

pad: the same scale, but the image lies where the alignment says: of the free pixels none, `free // 2` or all are left
of it or above.

letterbox and pad show the whole image; the crop fraction says nothing there.
"""

from typing import Callable, Dict, NamedTuple, Tuple

from .contract import ALIGNMENTS, Contract


class Plan(NamedTuple):
    """How an image comes to lie in the input; pixels.

    width, height: that it is resized to; left, top: where the part of it begins that is shown.
    x, y: where that part lies in the input; wide, high: its size. What it leaves of the input is padding.
    """

    width: int
    height: int
    left: int
    top: int
    x: int
    y: int
    wide: int
    high: int


def plan(width: int, height: int, contract: Contract) -> Plan:
    """The geometry for an image of width x height pixels."""
    return FITS[contract.resize](width, height, contract)


def is_whole(made: Plan, contract: Contract) -> bool:
    """Whether the part that is shown fills the input, so that there is no padding."""
    return (made.high, made.wide) == contract.size


def _covered(contract: Contract) -> Tuple[int, int]:
    """Height and width of what is cropped to the input."""
    high, wide = (max(side, round(side / contract.crop_fraction)) for side in contract.size)
    return high, wide


def _middle(wide: int, high: int, contract: Contract) -> Plan:
    """The centre of an image that was resized to wide x high."""
    rows, columns = contract.size
    return Plan(wide, high, round((wide - columns) / 2), round((high - rows) / 2), 0, 0, columns, rows)


def _crop(width: int, height: int, contract: Contract) -> Plan:
    covered = _covered(contract)
    scale = max(covered[0] / height, covered[1] / width)
    rows, columns = contract.size
    return _middle(max(columns, round(width * scale)), max(rows, round(height * scale)), contract)


def _squash(width: int, height: int, contract: Contract) -> Plan:
    high, wide = _covered(contract)
    return _middle(wide, high, contract)


def _inside(width: int, height: int, contract: Contract) -> Plan:
    rows, columns = contract.size
    scale = min(rows / height, columns / width)
    wide, high = min(columns, max(1, round(width * scale))), min(rows, max(1, round(height * scale)))
    across, down = ALIGNMENTS["center" if contract.resize == "letterbox" else contract.pad_align]
    return Plan(wide, high, 0, 0, (columns - wide) * across // 2, (rows - high) * down // 2, wide, high)


FITS: Dict[str, Callable[[int, int, Contract], Plan]] = {
    "crop": _crop,
    "squash": _squash,
    "letterbox": _inside,
    "pad": _inside,
}
"""By the name that a contract has for it."""
