"""The contract suite: every promise of a scorer as one function, so that a failure names what is broken."""

from __future__ import annotations

from collections.abc import Callable

from fuserec.scorers.base import Scorer
from fuserec.testing import form, life, meaning
from fuserec.testing.oracles import ORACLES
from fuserec.testing.subject import Oracle, Subject

Check = Callable[[Subject], None]

CHECKS: tuple[Check, ...] = (
    form.values_are_finite_float32,
    form.batch_equals_singles,
    form.order_of_queries_is_free,
    form.candidates_equal_the_slice,
    form.abstains_on_items_it_cannot_judge,
    form.abstains_on_queries_it_cannot_answer,
    form.odd_queries_get_answers,
    form.predicts_in_the_scale,
    life.inputs_stay_untouched,
    life.fit_leaves_the_original_alone,
    life.asks_to_be_fitted,
    life.same_seed_same_bits,
    life.threads_do_not_matter,
    life.many_may_ask_at_once,
    life.state_round_trip,
    life.update_knows_what_is_new,
    life.retuning_equals_refitting,
    life.hyperparameters_are_checked,
    meaning.evidence_sums_to_the_score,
    meaning.exact_evidence_is_exact,
    meaning.equals_its_definition,
    meaning.users_are_only_left_out,
    meaning.order_counts_where_it_is_needed,
)
"""What every scorer promises. Lists that are shown have promises of their own: :mod:`fuserec.testing.lists`."""


def subject_of(scorer: Scorer, oracle: Oracle | None = None) -> Subject:
    """Return a scorer under test, on the small dataset, with the oracle of its name where there is one."""
    return Subject(scorer, oracle or ORACLES.get(scorer.name))


def check_scorer(scorer: Scorer, oracle: Oracle | None = None) -> None:
    """Check an unfitted scorer against the whole contract.

    Parameters
    ----------
    scorer : Scorer
        Unfitted, with whatever configuration is to be tested.
    oracle : callable, optional
        ``(fitted scorer, dataset, features, queries) -> float (n, n_items)``: a plain recomputation of its scores.

    Raises
    ------
    AssertionError
        Naming the promise that is broken.
    """
    subject = subject_of(scorer, oracle)
    for check in CHECKS:
        try:
            check(subject)
        except AssertionError as error:
            raise AssertionError(f"{scorer.name}: {check.__name__}: {error}") from error
