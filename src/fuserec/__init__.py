"""FuseRec: recommendations from behaviour and language, fused, measured and explained."""

__version__ = "0.1.0"
