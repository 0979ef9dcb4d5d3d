import pytest

from octopix.margins import Margins
from octopix.tile_size import Way, fastest, sides


@pytest.mark.parametrize(("overlap", "multiple"), [(0, 1), (26, 1), (184, 8), (2000, 32)])
def test_sides_keep_something_and_suit_the_network(overlap: int, multiple: int) -> None:
    found = sides(Margins(overlap // 2, overlap - overlap // 2, multiple))

    assert list(found) == sorted(set(found))
    assert len(found) > 1
    assert min(found) > overlap
    assert not [side for side in found if side % multiple]


def test_the_fastest_way_is_chosen_and_no_more_is_measured_than_needed() -> None:
    times = {Way(64, 1): 5.0, Way(128, 1): 4.0, Way(256, 1): 6.0, Way(512, 1): 1.0, Way(64, 2): 3.0, Way(128, 2): 3.5}
    measured = []

    def seconds(way: Way) -> float:
        measured.append(way)
        return times[way]

    assert fastest(list(times), seconds) == Way(64, 2)
    assert Way(512, 1) not in measured  # 256 was already worse than 128 by half


def test_of_ways_as_fast_as_each_other_the_one_of_least_memory_is_chosen() -> None:
    times = {Way(64, 1): 1.02, Way(128, 1): 1.0, Way(64, 2): 1.01}

    assert fastest(list(times), times.__getitem__) == Way(64, 1)


def test_a_single_way_is_not_measured() -> None:
    assert fastest([Way(64, 1)], lambda way: pytest.fail("measured")) == Way(64, 1)
