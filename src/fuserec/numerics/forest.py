"""A forest of regression trees as flat arrays, read from LightGBM's text, asked for many items of one query at once.

Splits by features of the query go the same way for every item: each query first cuts its trees down to the splits that
items differ in, so that a catalogue costs one walk through the small trees an item.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from fuserec.numerics.jit import kernel

_DEFAULT_LEFT, _MISSING = 2, 12
_NAN = 8
"""Bits of a decision: where missing values go, and whether missing is told apart at all."""


class Forest(NamedTuple):
    """Nodes of all trees, one tree after the other, a node before its children.

    Parameters
    ----------
    feature : int32 (n_nodes,)
        -1 for a leaf.
    threshold : float64 (n_nodes,)
        A value up to it goes left.
    left, right : int32 (n_nodes,)
    missing : int8 (n_nodes,)
        0: NaN goes right. 1: NaN goes left.
    value : float64 (n_nodes,)
        Of a leaf; of an inner node the mean of its leaves, weighted by their training examples.
    roots : int32 (n_trees,)
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing: np.ndarray
    value: np.ndarray
    roots: np.ndarray

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the trees of a model that LightGBM wrote; splits by categories are not among ours."""
        trees = [_fields(part) for part in text.split("\nTree=")[1:]]
        pieces = [_nodes(tree) for tree in trees]
        starts = np.cumsum([0, *(piece.feature.size for piece in pieces)])
        moved = [
            piece._replace(
                left=np.where(piece.feature >= 0, piece.left + start, -1),
                right=np.where(piece.feature >= 0, piece.right + start, -1),
                roots=piece.roots + start,
            )
            for piece, start in zip(pieces, starts[:-1].tolist(), strict=True)
        ]
        kinds = (np.int32, np.float64, np.int32, np.int32, np.int8, np.float64, np.int32)
        empty = np.empty(0)
        columns = (
            np.concatenate([empty, *(getattr(piece, name) for piece in moved)]) for name in cls._fields
        )
        return cls(*(column.astype(kind) for column, kind in zip(columns, kinds, strict=True)))


def _fields(part: str) -> dict[str, str]:
    """Return the lines ``key=value`` of one tree."""
    lines = part.split("\n\n", maxsplit=1)[0].splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _nodes(tree: dict[str, str]) -> Forest:
    """Return the nodes of one tree: inner ones first, in LightGBM's order, then leaves."""
    leaf_value = np.array(tree["leaf_value"].split(), np.float64)
    inner = int(tree["num_leaves"]) - 1
    if inner == 0:
        leaf, one = np.full(1, -1), np.zeros(1)
        return Forest(leaf, one, leaf, leaf, one, leaf_value[:1], np.zeros(1))
    feature, left, right, decision = (
        np.array(tree[name].split(), np.int64)
        for name in ("split_feature", "left_child", "right_child", "decision_type")
    )
    weight = np.concatenate([np.zeros(inner), np.array(tree["leaf_count"].split(), np.float64)])
    value = np.concatenate([np.zeros(inner), leaf_value])
    left, right = (np.where(side >= 0, side, inner + ~side) for side in (left, right))
    for node in range(inner - 1, -1, -1):  # children stand after their parent
        sides = [left[node], right[node]]
        weight[node] = weight[sides].sum()
        value[node] = weight[sides] @ value[sides] / weight[node]
    told = (decision & _MISSING) == _NAN
    more_left = weight[left] >= weight[right]  # where training had none, missing goes the way of most
    missing = np.where(told, (decision & _DEFAULT_LEFT) > 0, more_left)
    leaves, none = np.full(leaf_value.size, -1), np.zeros(leaf_value.size)
    return Forest(
        np.concatenate([feature, leaves]),
        np.concatenate([np.array(tree["threshold"].split(), np.float64), none]),
        np.concatenate([left, leaves]),
        np.concatenate([right, leaves]),
        np.concatenate([missing, none]),
        value,
        np.zeros(1),
    )


@kernel(inline=True)
def _goes_left(value: float, threshold: float, missing: int) -> bool:
    """Return where a value goes."""
    if value != value:
        return missing == 1
    return value <= threshold


@kernel
def forest_values(
    forest: Forest,
    asked: np.ndarray,
    offered: np.ndarray,
    both: np.ndarray,
    items: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the sum of the trees for every query and its candidates into out float64 (n, m).

    Parameters
    ----------
    forest : Forest
        Its features count through ``asked``, then ``offered``, then ``both``.
    asked : float32 (n, n_asked)
        Features of the queries.
    offered : float32 (n_items, n_offered)
        Features of the items.
    both : float32 (n, m, n_both)
        Features of a query and a candidate.
    items : int32 (n, m)
    """
    own, theirs = asked.shape[1], asked.shape[1] + offered.shape[1]
    nodes = forest.feature.size
    jump = np.empty(nodes, np.int32)
    for query in range(asked.shape[0]):
        for node in range(nodes - 1, -1, -1):
            feature = forest.feature[node]
            jump[node] = node
            if 0 <= feature < own:
                left = _goes_left(asked[query, feature], forest.threshold[node], forest.missing[node])
                jump[node] = jump[forest.left[node] if left else forest.right[node]]
        for column in range(items.shape[1]):
            item, total = items[query, column], 0.0
            for root in forest.roots:
                node = jump[root]
                while forest.feature[node] >= 0:
                    feature = forest.feature[node]
                    in_item = feature < theirs
                    value = offered[item, feature - own] if in_item else both[query, column, feature - theirs]
                    left = _goes_left(value, forest.threshold[node], forest.missing[node])
                    node = jump[forest.left[node] if left else forest.right[node]]
                total += forest.value[node]
            out[query, column] = total


@kernel
def forest_shares(forest: Forest, rows: np.ndarray, out: np.ndarray) -> None:
    """Write what each feature moves along the paths of rows (n, n_features) into out float64 (n, n_features + 1).

    At every split the mean of the node becomes that of the child: the difference belongs to the feature that was
    split by. The last column holds the means of the roots; a row sums to the value of the forest.
    """
    for row in range(rows.shape[0]):
        for root in forest.roots:
            node = root
            out[row, -1] += forest.value[root]
            while forest.feature[node] >= 0:
                feature = forest.feature[node]
                left = _goes_left(rows[row, feature], forest.threshold[node], forest.missing[node])
                child = forest.left[node] if left else forest.right[node]
                out[row, feature] += forest.value[child] - forest.value[node]
                node = child
