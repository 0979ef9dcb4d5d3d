"""What the registry says of a model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octopix.card import Channels, Task
from train.data.sources import Lists

if TYPE_CHECKING:
    import tf_keras

RECIPES = Path(__file__).parent.parent / "recipes"
WEIGHTS = Path(__file__).parent.parent / "weights"


@dataclass(frozen=True)
class ModelSpec:
    """One network: how it is built and what a user may feed it.

    ``build()`` returns a Keras 2 model with one input (1, H, W, C) float32 in [0, 1] and one output
    (1, H·network_scale, W·network_scale, C), not clipped. Luma networks see BT.601
    Y / 255 (studio swing, 16/255..235/255).
    """

    name: str
    title: str
    task: Task
    scale: int
    channels: Channels
    multiple_of: int
    parameters: int
    """Values of all weights, constants such as a mean shift included."""
    build: "Callable[[], tf_keras.Model]"
    degradation: str = "bicubic"
    """What the network undoes: a name in `train.data.degradations.DEGRADATIONS`."""
    lists: Lists = "collection"
    """Which committed lists of a data collection it trains, validates and calibrates on."""
    enlarged: bool = False
    """The network is 1:1 and meets its input already enlarged ``scale`` times by MATLAB's bicubic."""
    family: str | None = None
    """Models of one family share recipe, run and weights file; None is a family of one."""
    slim: "Callable[[], tf_keras.Model] | None" = None
    """Builds the same architecture with few channels and blocks, for tests of what does not depend on their number."""

    @property
    def network_scale(self) -> int:
        """Output over input of the network itself."""
        return 1 if self.enlarged else self.scale

    @property
    def trained_as(self) -> str:
        """Name of its recipe, run and weights file: the family's, or its own."""
        return self.family or self.name

    @property
    def recipe(self) -> Path:
        """The committed recipe."""
        return RECIPES / f"{self.trained_as}.yaml"

    @property
    def weights(self) -> Path:
        """The committed float weights (present once trained)."""
        return WEIGHTS / f"{self.trained_as}.safetensors"

    @property
    def depth(self) -> int:
        """Channels of input and output."""
        return 1 if self.channels == "y" else 3
