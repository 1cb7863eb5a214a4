"""``fuserec evaluate --baseline``: an earlier run that this one is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import SplitConfig
    from fuserec.evaluation.candidates import Candidates
    from fuserec.evaluation.results import EvaluationResults


@dataclass(frozen=True)
class Baseline:
    """Results of an earlier run by the name of their file; nothing where none was named."""

    name: str = ""
    results: EvaluationResults | None = None

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read the file, before hours of work."""
        if path is None:
            return cls()
        from fuserec.evaluation.results import read_json

        return cls(path.stem, read_json(path))

    def check(self, dataset: Dataset, split: SplitConfig, candidates: Candidates) -> None:
        """Refuse it where it is of other data or another protocol."""
        if self.results is None:
            return
        from fuserec.evaluation.comparison import refuse_other_question
        from fuserec.evaluation.provenance import dataset_facts
        from fuserec.evaluation.results import THIS_RUN

        refuse_other_question(
            self.name, self.results, THIS_RUN, dataset_facts(dataset), split.protocol, str(candidates)
        )

    def beside(self, results: EvaluationResults) -> EvaluationResults:
        """Return the results with their comparison, if any."""
        if self.results is None:
            return results
        from fuserec.evaluation.comparison import compare
        from fuserec.evaluation.results import THIS_RUN

        found = compare({self.name: self.results, THIS_RUN: results})
        return results.model_copy(update={"baseline": found})
