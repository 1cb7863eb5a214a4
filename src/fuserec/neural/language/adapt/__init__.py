"""A text encoder that is adapted to a catalogue: by who took what, or by the catalogue's own words; and made small.

``adapt`` trains and returns an :class:`Adapted`, whose ``save`` writes a folder that ``[features.sentence] model``
reads. ``compress`` makes such a folder smaller.
"""

from __future__ import annotations

from fuserec.neural.language.adapt.adaptation import Adapted, adapt
from fuserec.neural.language.adapt.compress import compress
from fuserec.neural.language.adapt.live import LiveEncoder
from fuserec.neural.language.adapt_config import AdaptConfig, CompressConfig

__all__ = ["AdaptConfig", "Adapted", "CompressConfig", "LiveEncoder", "adapt", "compress"]
