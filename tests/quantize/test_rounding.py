"""Rounding that minds a layer's output."""

import numpy as np
import pytest

from quantize.rounding import LEVELS, Moments, best_bias, best_rounding, nearest


def moments(d: int, seed: int, *, drift: float = 0.0) -> Moments:
    """Of 4,000 draws of d values that go together, as neighbouring pixels do; the int8 side drifts by a fraction."""
    random = np.random.default_rng(seed)
    seen = random.normal(size=(4000, 4)) @ random.normal(size=(4, d)) + 0.1 * random.normal(size=(4000, d)) + 0.5
    int8 = seen * (1 + drift) + drift * random.normal(size=seen.shape)
    mean, mean_int8 = seen.mean(0), int8.mean(0)
    apart, apart_int8 = seen - mean, int8 - mean_int8
    return Moments(apart_int8.T @ apart_int8 / 4000, apart.T @ apart_int8 / 4000, mean, mean_int8)


def output_error(weights: np.ndarray, rounded: np.ndarray, covariance: np.ndarray) -> float:
    error = rounded - weights
    return float(np.einsum("ij,jk,ik->", error, covariance, error))


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(8, 36))


def alone(both: Moments) -> Moments:
    """As if the float model saw the int8 model's values."""
    return Moments(both.covariance, both.covariance, both.mean_int8, both.mean_int8)


def test_rounded_weights_are_what_the_quantizer_will_find(weights: np.ndarray) -> None:
    rounded = best_rounding(weights, alone(moments(36, 2)))
    scales = np.abs(rounded).max(axis=1, keepdims=True) / LEVELS
    levels = rounded / scales
    # Float64 arithmetic on numbers up to 127.
    assert np.allclose(levels, np.rint(levels), rtol=0, atol=1e-9)
    assert np.array_equal(nearest(rounded).round(12), rounded.round(12))


@pytest.mark.parametrize("seed", range(5))
def test_correlated_inputs_let_rounding_errors_cancel(weights: np.ndarray, seed: int) -> None:
    found = alone(moments(36, seed))
    best = output_error(weights, best_rounding(weights, found), found.covariance)
    # 36 inputs of four causes leave 32 directions in which errors cost next to nothing; a third is what a search that
    # did nothing but luck would not reach.
    assert best < output_error(weights, nearest(weights), found.covariance) / 3


def test_a_layer_makes_up_for_the_layers_before_it(weights: np.ndarray) -> None:
    found = moments(36, 7, drift=0.1)
    made_up = best_rounding(weights, found)
    by_itself = best_rounding(weights, alone(found))

    def error(rounded: np.ndarray) -> float:
        """Variance of W·x − R·z, up to the part without R."""
        return float(np.sum((rounded @ found.covariance) * rounded) - 2 * np.sum((rounded @ found.cross.T) * weights))

    assert error(made_up) < error(by_itself)


def test_the_bias_keeps_the_mean_output(weights: np.ndarray) -> None:
    found = moments(36, 3, drift=0.05)
    bias, rounded = np.arange(8.0), nearest(weights)
    corrected = best_bias(bias, weights, rounded, found)
    # Float64 sums of 36 products.
    assert np.allclose(rounded @ found.mean_int8 + corrected, weights @ found.mean + bias, rtol=0, atol=1e-9)


def test_without_a_bias_to_correct_the_mean_counts() -> None:
    found = alone(moments(36, 4))
    bias, weights = np.zeros(8), np.random.default_rng(5).normal(size=(8, 36))
    free, bound = best_rounding(weights, found), best_rounding(weights, found.about_zero())
    mean_error = [float(np.abs((rounded - weights) @ found.mean).mean()) for rounded in (free, bound)]
    assert mean_error[1] < mean_error[0]
    assert np.array_equal(best_bias(bias, weights, bound, found.about_zero()), bias)


def test_a_dead_output_stays_dead() -> None:
    rounded = best_rounding(np.zeros((2, 9)), alone(moments(9, 6)))
    assert not rounded.any()


def test_inputs_that_are_never_seen_do_not_break_it(weights: np.ndarray) -> None:
    zeros = np.zeros(36)
    rounded = best_rounding(weights, Moments(np.zeros((36, 36)), np.zeros((36, 36)), zeros, zeros))
    assert np.allclose(rounded, weights, rtol=0, atol=np.abs(weights).max() / LEVELS)  # one level
