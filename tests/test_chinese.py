"""A Chinese shop with the default set-up, whose language model reads English: words carry the query."""

from __future__ import annotations

import pytest

from fuserec import Dataset, Recommender
from fuserec.config import RecommenderConfig
from fuserec.encoders.features import FeatureConfig

KINDS = {
    "茶": ["乌龙茶礼盒", "安溪乌龙茶 500克", "云南普洱茶饼", "普洱茶砖"],
    "笔": ["英雄钢笔", "学生钢笔", "中性笔", "毛笔套装"],
}
KINDS |= {
    "帐篷": ["双人帐篷", "露营帐篷", "Camping stove", "Family tent"],
    "书": ["红楼梦", "三国演义", "西游记", "Dune"],
}


@pytest.fixture(scope="module", params=["auto", "never"])
def shop(request):
    items = [
        {"item_id": f"{kind}{n}", "title": title, "categories": kind}
        for kind, titles in KINDS.items()
        for n, title in enumerate(titles)
    ]
    ids = [item["item_id"] for item in items]
    rows = [(f"u{u}", ids[(3 * u + step) % 12]) for u in range(12) for step in range(5)]
    import polars as pl

    frame = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    dataset = Dataset.from_frames(frame, items=pl.DataFrame(items))
    return Recommender(RecommenderConfig(features=FeatureConfig(use_sentence=request.param))).fit(dataset)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("乌龙茶", {"茶0", "茶1"}), ("普洱茶", {"茶2", "茶3"}), ("钢笔", {"笔0", "笔1"}), ("红楼梦", {"书0"})],
)
def test_chinese_words_find_what_bears_them(shop, query, wanted):
    found = [item.item_id for item in shop.search(query, k=len(wanted)).items]
    assert set(found) == wanted
    asked = [item.item_id for item in shop.recommend(text=query, k=len(wanted), explain=True).items]
    assert set(asked) == wanted


def test_the_reason_names_the_words(shop):
    best = shop.recommend(text="乌龙茶", k=1, explain=True, language="zh").items[0]
    assert "乌龙" in best.reason
