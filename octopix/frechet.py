"""Fréchet distance between two Gaussians, and the Gaussian of a set of features.

D. Dowson, B. Landau, "The Fréchet distance between multivariate normal distributions", J. Multivariate Analysis 12,
1982; on features of the Inception network it is the FID of M. Heusel et al., "GANs Trained by a Two Time-Scale Update
Rule Converge to a Local Nash Equilibrium", NeurIPS 2017.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.errors import DataError

Array = npt.NDArray[Any]
_Floats = npt.NDArray[np.float64]

# Relative to a covariance's largest entry or eigenvalue. Sums in float32 leave errors near 1e-6; an asymmetry or a
# negative eigenvalue beyond this is not rounding.
_TOLERANCE = 1e-4


def feature_statistics(features: Array) -> tuple[_Floats, _Floats]:
    """Mean (D,) and covariance (D, D), divided by N - 1, of ``features`` (N, D), one row per image, in float64.

    Raises:
        DataError: another shape, fewer than two rows, or values that are not finite.
    """
    if features.ndim != 2 or features.shape[0] < 2 or not features.size:
        raise DataError(
            expected="features (N, D) of at least two images",
            got=f"shape {features.shape}",
            do="give more images, one row each",
        )
    rows = features.astype(np.float64)
    _check_finite(rows)
    mean = rows.mean(axis=0)
    rows -= mean
    return mean, rows.T @ rows / (len(rows) - 1)


def frechet_distance(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    """``|mean_a - mean_b|² + tr(cov_a + cov_b - 2 (cov_a cov_b)^½)``: squared distance, 0 for equal Gaussians.

    The trace of the root is the sum of the singular values of ``root_aᵀ root_b`` for any roots of the covariances,
    ``root rootᵀ = cov``. They come from symmetric eigen-decompositions without the null space, so singular
    covariances (fewer images than features) need no added diagonal, and nothing becomes complex.

    Args:
        mean_a: (D,) real.
        cov_a: (D, D) symmetric, no negative eigenvalues.
        mean_b: as ``mean_a``.
        cov_b: as ``cov_a``.

    Returns:
        In squared units of the features; never negative.

    Raises:
        DataError: shapes that do not fit, values that are not finite, or a matrix that is no covariance.
    """
    means, covariances = _floats(mean_a, mean_b), _floats(cov_a, cov_b)
    _check_shapes(*means, *covariances)
    root_a, root_b = (_root(covariance) for covariance in covariances)
    # Roots lack the null space, which holds rounding errors only: these are left out of the traces too.
    traces = float((root_a**2).sum() + (root_b**2).sum())
    shared = float(np.linalg.svd(root_a.T @ root_b, compute_uv=False).sum())
    apart = float(((means[0] - means[1]) ** 2).sum())
    return max(0.0, apart + traces - 2 * shared)


def _root(covariance: _Floats) -> _Floats:
    """(D, rank) matrix whose product with its transpose is ``covariance``."""
    largest = float(np.abs(covariance).max(initial=0))
    if float(np.abs(covariance - covariance.T).max(initial=0)) > _TOLERANCE * largest:
        raise _no_covariance("one that is not symmetric")
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    if values[0] < -_TOLERANCE * max(values[-1], 0) or values[-1] < 0:
        raise _no_covariance(f"one with the eigenvalue {values[0]:.3g}")
    kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))


def _floats(*arrays: Array) -> tuple[_Floats, ...]:
    converted = tuple(np.asarray(array, np.float64) for array in arrays)
    for array in converted:
        _check_finite(array)
    return converted


def _check_shapes(mean_a: _Floats, mean_b: _Floats, cov_a: _Floats, cov_b: _Floats) -> None:
    size = mean_a.size
    if mean_a.shape != (size,) or mean_b.shape != (size,) or {cov_a.shape, cov_b.shape} != {(size, size)} or not size:
        raise DataError(
            expected="two means (D,) and two covariances (D, D) of one D",
            got=f"{mean_a.shape}, {mean_b.shape} and {cov_a.shape}, {cov_b.shape}",
            do="take the features of both sets by one network",
        )


def _check_finite(array: _Floats) -> None:
    if not np.isfinite(array).all():
        raise DataError(expected="finite values", got="NaN or infinity", do="check what made these features")


def _no_covariance(got: str) -> DataError:
    return DataError(expected="a covariance matrix", got=got, do="make it by feature_statistics")
