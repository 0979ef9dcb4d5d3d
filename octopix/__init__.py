"""octopix: image-restoration networks as int8 TFLite, and the proof of what int8 costs."""

__version__ = "0.1.0"
