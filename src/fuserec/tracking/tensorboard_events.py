"""Event files that ``tensorboard --logdir FOLDER`` shows, written by TensorBoard's own writer: no torch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fuserec.tracking.base import SCALAR


class TensorBoardEvents:
    """Writes scalars, and the parameters as a table of text.

    Parameters
    ----------
    folder : Path
        Each run gets a folder ``tensorboard/NAME`` in it.
    project : str
        TensorBoard knows no projects.
    """

    def __init__(self, folder: Path, project: str) -> None:
        self._folder = folder / "tensorboard"

    def start(self, name: str, params: Mapping[str, SCALAR]) -> None:
        """Open the event file and write the parameters."""
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer: Any = EventFileWriter(str(self._folder / name))
        table = "\n".join(["|parameter|value|", "|-|-|", *(f"|{k}|{_cell(v)}|" for k, v in params.items())])
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        tensor = TensorProto(
            dtype=DT_STRING,
            string_val=[table.encode()],
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        )
        self._add(Summary(value=[Summary.Value(tag="parameters", metadata=metadata, tensor=tensor)]), 0)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Write scalars."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=key, simple_value=value) for key, value in metrics.items()]
        self._add(Summary(value=values), step)

    def finish(self, ok: bool) -> None:
        """Close the event file."""
        self._writer.close()

    def _add(self, summary: Any, step: int) -> None:
        """Put a summary into the file, where TensorBoard finds it at once."""
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()


def _cell(value: SCALAR) -> str:
    """Return a value that may stand in a Markdown table."""
    return str(value).replace("|", "\\|").replace("\n", " ")
