import numpy as np
import pytest

from octopix.margins import Margins
from octopix.tiling import balanced, layout, spans, whole

CASES = [
    # length, side, margins
    (100, 30, Margins(4, 4, 1)),
    (101, 30, Margins(0, 7, 1)),
    (31, 30, Margins(14, 14, 1)),
    (29, 30, Margins(4, 4, 1)),
    (96, 32, Margins(8, 16, 8)),
    (104, 40, Margins(0, 0, 8)),
]


@pytest.mark.parametrize(("length", "side", "margins"), CASES)
def test_every_pixel_is_kept_once_and_sees_all_it_depends_on(length: int, side: int, margins: Margins) -> None:
    kept = np.zeros(length, int)
    for span in spans(length, side, margins):
        kept[span.start : span.stop] += 1
        end = min(span.origin + side, length)
        assert span.origin % margins.multiple == 0
        assert span.start - span.origin >= margins.before or span.origin == 0
        assert end - span.stop >= margins.after or end == length
        assert span.origin + side <= max(length, side)  # shifted inwards: tiles have one size

    assert (kept == 1).all()


def test_tiles_are_all_rows_with_all_columns() -> None:
    cut = layout((100, 29), (30, 30), Margins(4, 4, 1))

    assert cut.tile == (30, 29)
    assert len(cut) == len(list(cut)) == len(spans(100, 30, Margins(4, 4, 1)))
    assert len(whole((100, 29))) == 1


@pytest.mark.parametrize(("length", "side", "margins"), CASES)
def test_balanced_tiles_are_smaller_but_no_more(length: int, side: int, margins: Margins) -> None:
    height, width = balanced((length, 2 * length), side, margins)

    assert max(height, width) <= side
    assert height % margins.multiple == width % margins.multiple == 0
    assert len(layout((length, 2 * length), (height, width), margins)) == len(
        layout((length, 2 * length), (side, side), margins)
    )
