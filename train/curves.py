"""How trainings went, as a picture: validation PSNR and loss over steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from octopix.errors import ConfigError
from octopix.files import replacing
from train.run_folder import Epoch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
SIZE_IN, DPI = (6.4, 6.4), 160


def draw_curves(runs: Mapping[str, Sequence[Epoch]], out: Path) -> None:
    """Write a picture of the histories, by name, to ``out``.

    Args:
        runs: at least one; each with at least one epoch.
        out: a PNG, SVG or PDF file.

    Raises:
        ConfigError: ``out`` is of another format.
    """
    if out.suffix.lower() not in FORMATS:
        raise ConfigError(expected=f"a picture to write ({', '.join(FORMATS)})", got=out.name, do="correct --out")
    figure = _figure(runs)
    with replacing(out) as part:
        figure.savefig(part, dpi=DPI)


def _figure(runs: Mapping[str, Sequence[Epoch]]) -> "Figure":
    from matplotlib.figure import Figure  # half a second that training itself need not wait for

    figure = Figure(figsize=SIZE_IN, layout="constrained")
    quality, error = figure.subplots(2, 1, sharex=True)
    for name, epochs in runs.items():
        steps = [epoch.step for epoch in epochs]
        best = max(epochs, key=lambda epoch: epoch.psnr)
        (line,) = quality.plot(steps, [epoch.psnr for epoch in epochs], linewidth=1.4, label=_label(name, best))
        quality.plot([best.step], [best.psnr], "o", markersize=4, color=line.get_color())
        error.plot(steps, [epoch.loss for epoch in epochs], linewidth=1.4, color=line.get_color())
    quality.set(title="Validation PSNR of the averaged weights", ylabel="dB")
    error.set(title="Training loss, each stage by its own measure", xlabel="step", yscale="log")
    for axes in (quality, error):
        axes.grid(alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2 if len(runs) > 1 else 1, frameon=False, fontsize="small")
    return figure


def _label(name: str, best: Epoch) -> str:
    return f"{name}: best {best.psnr:.2f} dB at step {best.step:,}"
