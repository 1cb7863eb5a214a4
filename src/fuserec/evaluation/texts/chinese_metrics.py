"""What each metric is called and means, in Chinese: by the names of :data:`fuserec.metrics.DEFINITIONS`."""

from __future__ import annotations

METRICS: dict[str, tuple[str, str]] = {
    "ndcg": ("NDCG", "正确的物品在前 {k} 位中有多靠前；位置越低，分量越小。"),
    "recall": ("召回率", "用户的正确物品中有多大比例在前 {k} 位之内。"),
    "hit_rate": ("命中率", "前 {k} 位中至少有一个正确物品的用户比例。"),
    "precision": ("精确率", "前 {k} 位中被正确物品占据的比例。"),
    "mrr": ("MRR", "第一个正确物品名次的倒数（前 {k} 位之外记为 0），对用户取平均。"),
    "map": ("MAP", "前 {k} 位中每个正确物品所在位置的精确率，对全部正确物品取平均。"),
    "auc": ("AUC", "正确物品排在目录中其他任一物品之前的概率；0.5 相当于随机。"),
    "rmse": ("RMSE", "预测评分的均方误差的平方根，单位与评分相同。"),
    "mae": ("MAE", "预测评分的平均绝对误差，单位与评分相同。"),
    "coverage": ("覆盖率", "物品目录中至少在一个列表的前 {k} 位出现过的比例。"),
    "ild": ("多样性", "同一列表前 {k} 位物品之间的平均距离（1 减去向量的余弦）。"),
    "novelty": (
        "新颖性",
        "前 {k} 位展示的物品有多少见：知道该物品的用户比例的负以 2 为底的对数，单位为比特。",
    ),
}
"""Title and meaning, ``{k}`` as in the definition. A metric that is not here is told in English."""

WITHOUT_K = "（前 {k} 位之外记为 0）"
"""What a meaning says of the cut in brackets; left out where there is none."""
