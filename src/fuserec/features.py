"""The features of a dataset's items, with an encoder that is trained first where the configuration asks for one.

``ItemFeatures`` stands below ``neural`` and knows nothing of PyTorch; here the two meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuserec.encoders.choice import key_of
from fuserec.encoders.features import TAG_COLUMNS, FeatureConfig, ItemFeatures, tags_of
from fuserec.encoders.lstm import LstmEncoder
from fuserec.encoders.text import DEFAULT_COLUMNS, item_text
from fuserec.neural import require

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.choice import TextEncoder
    from fuserec.run import RunOptions


def item_features(
    dataset: Dataset, config: FeatureConfig, run: RunOptions, encoder: TextEncoder | None = None
) -> ItemFeatures:
    """Read all items of a dataset, as :meth:`ItemFeatures.build` does; an LSTM is trained on their text before.

    Parameters
    ----------
    dataset, config, run
    encoder : TextEncoder, optional
        One that is at hand; see :meth:`ItemFeatures.build`.

    Raises
    ------
    MissingExtraError
        Where an LSTM is to be trained and PyTorch is not installed.
    ConfigError, DataError, WeightsError
        Where an encoder cannot be made as configured.
    """
    if config.sentence.kind == "lstm" and config.use_sentence != "never":
        encoder = _lstm(dataset, config, run, encoder) or encoder
    return ItemFeatures.build(dataset, config, run, encoder)


def _lstm(
    dataset: Dataset, config: FeatureConfig, run: RunOptions, at_hand: TextEncoder | None
) -> LstmEncoder | None:
    """Return an LSTM trained on the items' text: the one at hand where it was, None where there is no text."""
    texts = item_text(dataset.item_table, config.text)
    made_from = key_of(config.sentence, config.lexical, texts, run)
    if not any(texts) or (isinstance(at_hand, LstmEncoder) and at_hand.made_from == made_from):
        return None
    require("the encoder lstm")
    from fuserec.neural.text_lstm import train_lstm

    tags, _ = tags_of(dataset.item_table)
    untagged = _untagged(dataset, config)
    return train_lstm(texts, untagged, tags, config.sentence.lstm, config.lexical.ngrams, run, made_from)


def _untagged(dataset: Dataset, config: FeatureConfig) -> list[str]:
    """Return the items' texts without the columns that tags are made of; empty where those are all that is read."""
    table = dataset.item_table
    named = config.text.columns or tuple(name for name in DEFAULT_COLUMNS if name in table.columns)
    columns = tuple(name for name in named if name not in TAG_COLUMNS)
    if not columns:
        return [""] * table.height
    return item_text(table, config.text.model_copy(update={"columns": columns}))
