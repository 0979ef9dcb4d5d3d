"""octopix: image-restoration networks as int8 TFLite, and the proof of what int8 costs.

from octopix import Restorer, read_picture, write_picture

restorer = Restorer(Path("espcn_x4.int8-qat.tflite"))
write_picture(Path("large.png"), restorer.restore(read_picture(Path("small.jpg"))))
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from octopix.card import ModelCard
    from octopix.images import Picture, read_picture, write_picture
    from octopix.restore import Restorer

__version__ = "0.1.0"

_HOMES = {
    "ModelCard": "octopix.card",
    "Picture": "octopix.images",
    "Restorer": "octopix.restore",
    "read_picture": "octopix.images",
    "write_picture": "octopix.images",
}

__all__ = ["ModelCard", "Picture", "Restorer", "__version__", "read_picture", "write_picture"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import octopix`` itself loads neither NumPy nor OpenCV."""
    if name not in _HOMES:
        raise AttributeError(f"module 'octopix' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
