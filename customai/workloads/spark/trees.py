"""Spark's decision trees as the attributes of one ONNX TreeEnsembleRegressor, read from the model in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import numpy_helper


@dataclass
class _Flat:
    """The nodes of all trees, attribute by attribute, as ONNX wants them."""

    tree: list[int] = field(default_factory=list)
    node: list[int] = field(default_factory=list)
    mode: list[str] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    true: list[int] = field(default_factory=list)
    false: list[int] = field(default_factory=list)
    leaf_tree: list[int] = field(default_factory=list)
    leaf_node: list[int] = field(default_factory=list)
    leaf_target: list[int] = field(default_factory=list)
    leaf_weight: list[float] = field(default_factory=list)

    def add(self, tree: int, mode: str, feature: int = 0, value: float = 0.0) -> int:
        """Adds a node, its children to be known later; gives its place among all nodes."""
        first = self.tree.index(tree) if tree in self.tree else len(self.tree)
        self.node.append(len(self.tree) - first)
        self.tree.append(tree)
        self.mode.append(mode)
        self.feature.append(feature)
        self.value.append(value)
        self.true.append(0)
        self.false.append(0)
        return len(self.tree) - 1


def ensemble(trees: Sequence[Any], weights: Sequence[float], *, classes: int) -> dict[str, Any]:
    """The ONNX attributes: leaves hold the tree's value, or with `classes` the share of each class, times its weight."""
    flat = _Flat()
    for number, (tree, weight) in enumerate(zip(trees, weights, strict=True)):
        _add(flat, number, tree._call_java("rootNode"), weight, classes)  # noqa: SLF001 (Spark has no other door)
    return {
        "n_targets": max(1, classes),
        "nodes_treeids": flat.tree,
        "nodes_nodeids": flat.node,
        "nodes_modes": flat.mode,
        "nodes_featureids": flat.feature,
        "nodes_values_as_tensor": numpy_helper.from_array(np.array(flat.value, np.float64), "values"),
        "nodes_truenodeids": flat.true,
        "nodes_falsenodeids": flat.false,
        "target_treeids": flat.leaf_tree,
        "target_nodeids": flat.leaf_node,
        "target_ids": flat.leaf_target,
        "target_weights_as_tensor": numpy_helper.from_array(np.array(flat.leaf_weight, np.float64), "weights"),
    }


def _add(flat: _Flat, tree: int, node: Any, weight: float, classes: int) -> int:
    """Adds the node and all below it; gives its number in the tree."""
    if node.getClass().getSimpleName() == "LeafNode":
        return _leaf(flat, tree, node, weight, classes)
    split = node.split()
    feature = split.featureIndex()
    if split.getClass().getSimpleName() == "ContinuousSplit":
        tests = [flat.add(tree, "BRANCH_LEQ", feature, split.threshold())]
    else:  # "is it one of these?" as a chain of "is it this one?", whose yeses lead to the same node
        tests = [flat.add(tree, "BRANCH_EQ", feature, category) for category in split.leftCategories()]
    left = _add(flat, tree, node.leftChild(), weight, classes)
    right = _add(flat, tree, node.rightChild(), weight, classes)
    for test, following in zip(tests, [*(flat.node[test] for test in tests[1:]), right], strict=True):
        flat.true[test], flat.false[test] = left, following
    return flat.node[tests[0]]


def _leaf(flat: _Flat, tree: int, node: Any, weight: float, classes: int) -> int:
    number = flat.node[flat.add(tree, "LEAF")]
    if classes:
        counts = np.array(list(node.impurityStats().stats()), np.float64)
        values = counts / counts.sum()
    else:
        values = np.array([node.prediction()])
    for target, value in enumerate(values):
        flat.leaf_tree.append(tree)
        flat.leaf_node.append(number)
        flat.leaf_target.append(target)
        flat.leaf_weight.append(float(value) * weight)
    return number
