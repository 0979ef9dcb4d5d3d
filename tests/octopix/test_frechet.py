"""The Fréchet distance where a closed form is known, where covariances are singular, and on input that is none."""

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from octopix.errors import DataError
from octopix.metrics import feature_statistics, frechet_distance

# All closed forms below are of the order of 1 to 100; float64 leaves some 1e-14 of that per operation.
EXACT = 1e-11


def turn(size: int, seed: int = 0) -> np.ndarray:
    """An orthogonal matrix."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def spread(size: int, seed: int) -> np.ndarray:
    """A covariance of full rank."""
    sample = np.random.default_rng(seed).normal(size=(size, 3 * size))
    return sample @ sample.T / (3 * size)


def test_one_dimension() -> None:
    """(difference of the means)² + (difference of the standard deviations)²."""
    found = frechet_distance(np.array([1.0]), np.array([[4.0]]), np.array([4.0]), np.array([[25.0]]))
    assert found == pytest.approx(3**2 + (5 - 2) ** 2, abs=EXACT)


def test_diagonal_covariances() -> None:
    a, b = np.array([1.0, 4.0, 0.25, 9.0]), np.array([4.0, 4.0, 1.0, 0.0])
    mean = np.array([0.0, 1.0, 0.0, -2.0])
    expected = (mean**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet_distance(mean, np.diag(a), np.zeros(4), np.diag(b)) == pytest.approx(expected, abs=EXACT)


def test_covariances_that_commute() -> None:
    """Of the same eigenvectors: distance of the roots, wherever the axes point."""
    axes, a, b = turn(6), np.arange(1.0, 7.0), np.arange(6.0, 0.0, -1.0) ** 2
    found = frechet_distance(np.zeros(6), axes * a @ axes.T, np.ones(6), axes * b @ axes.T)
    assert found == pytest.approx(6 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), abs=EXACT)


def test_two_dimensions_that_do_not_commute() -> None:
    """For 2×2 matrices the trace of the root of M is the root of ``tr M + 2 √det M``."""
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[5.0, -2.0], [-2.0, 1.0]])
    product = a @ b
    root = math.sqrt(np.trace(product) + 2 * math.sqrt(np.linalg.det(product)))
    expected = np.trace(a) + np.trace(b) - 2 * root
    assert frechet_distance(np.zeros(2), a, np.zeros(2), b) == pytest.approx(expected, abs=EXACT)


def test_agrees_with_the_matrix_root_of_scipy() -> None:
    a, b = spread(20, 1), spread(20, 2)
    mean_a, mean_b = np.random.default_rng(3).normal(size=(2, 20))
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    # sqrtm of an unsymmetric product is the less exact of the two.
    assert frechet_distance(mean_a, a, mean_b, b) == pytest.approx(expected, abs=1e-9)


def test_symmetric() -> None:
    a, b, mean = spread(12, 1), spread(12, 2), np.linspace(0, 1, 12)
    there, back = frechet_distance(mean, a, -mean, b), frechet_distance(-mean, b, mean, a)
    assert there == pytest.approx(back, abs=EXACT)


@pytest.mark.parametrize("images", [2, 5, 200])
def test_zero_for_identical_features_never_below(images: int) -> None:
    mean, covariance = feature_statistics(np.random.default_rng(4).normal(size=(images, 40)))
    assert 0 <= frechet_distance(mean, covariance, mean.copy(), covariance.copy()) < EXACT


def test_fewer_images_than_features_give_the_distance_in_the_plane_they_span() -> None:
    """Features of 5 dimensions, put into 60 by an orthogonal matrix: nothing changes but the rank."""
    random = np.random.default_rng(5)
    flat_a, flat_b = random.normal(size=(9, 5)), random.normal(2, 3, size=(8, 5))
    plane = turn(60)[:5]
    expected = frechet_distance(*feature_statistics(flat_a), *feature_statistics(flat_b))
    found = frechet_distance(*feature_statistics(flat_a @ plane), *feature_statistics(flat_b @ plane))
    # Of 55 null dimensions only rounding is left, and that is cut off: roots of 1e-16 would add 1e-8 each.
    assert found == pytest.approx(expected, abs=1e-9)


def test_covariances_of_planes_at_right_angles_share_nothing() -> None:
    axes = turn(10)
    a, b = axes[:, :3] @ axes[:, :3].T, 4 * axes[:, 3:5] @ axes[:, 3:5].T
    assert frechet_distance(np.zeros(10), a, np.zeros(10), b) == pytest.approx(3 + 8, abs=EXACT)


def test_points_without_any_spread() -> None:
    none = np.zeros((3, 3))
    assert frechet_distance(np.zeros(3), none, np.full(3, 2.0), none) == 12
    assert frechet_distance(np.zeros(3), none, np.zeros(3), np.eye(3)) == pytest.approx(3, abs=EXACT)


def test_statistics_of_features() -> None:
    mean, covariance = feature_statistics(np.array([[0, 1], [2, 1], [4, 7]], np.float32))
    assert mean.tolist() == [2, 3]
    assert covariance.tolist() == [[4, 6], [6, 12]]


def test_statistics_leave_the_features_as_they_are() -> None:
    features = np.random.default_rng(6).normal(size=(5, 4))
    before = features.copy()
    mean, covariance = feature_statistics(features)
    np.testing.assert_array_equal(features, before)
    np.testing.assert_allclose(mean, before.mean(axis=0), atol=1e-15)  # one rounding per addition of values near 1
    np.testing.assert_allclose(covariance, np.cov(before, rowvar=False), atol=1e-14)


@pytest.mark.parametrize(
    "features",
    [np.ones((1, 4)), np.ones((4, 0)), np.ones(4), np.full((3, 2), np.nan)],
    ids=["one image", "no features", "one row", "nan"],
)
def test_features_without_statistics_are_refused(features: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"expected .*, got .*; "):
        feature_statistics(features)


@pytest.mark.parametrize(
    ("mean", "covariance"),
    [
        (np.zeros(3), np.eye(3)),
        (np.zeros((2, 1)), np.eye(2)),
        (np.zeros(2), np.ones(2)),
        (np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]])),
        (np.zeros(2), np.diag([1.0, -1.0])),
        (np.zeros(2), np.diag([1.0, np.inf])),
    ],
    ids=["other size", "column", "variances", "not symmetric", "negative", "infinite"],
)
def test_what_is_no_gaussian_of_the_same_size_is_refused(mean: np.ndarray, covariance: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"expected .*, got .*; "):
        frechet_distance(np.zeros(2), np.eye(2), mean, covariance)
