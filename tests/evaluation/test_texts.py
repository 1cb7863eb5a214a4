from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import get_args

import pytest

import fuserec.evaluation
from fuserec.errors import RequestError
from fuserec.evaluation import wording
from fuserec.evaluation.report import to_html
from fuserec.evaluation.results import EvaluationResults, read_json
from fuserec.evaluation.texts import CHINESE, ENGLISH, LANGUAGES, texts_in
from fuserec.evaluation.texts.chinese import NAMES
from fuserec.evaluation.texts.chinese_metrics import METRICS
from fuserec.evaluation.texts.chinese_notes import NOTES
from fuserec.evaluation.texts.english import TEXTS
from fuserec.metrics import DEFINITIONS
from fuserec.metrics.definitions import Family

SOURCE = Path(fuserec.evaluation.__file__).parent


@pytest.fixture(scope="module")
def fixed() -> EvaluationResults:
    return read_json(Path(__file__).parent / "report" / "results.json")


def said(results: EvaluationResults, language: str) -> str:
    page = re.sub(r"<style>.*?</style>", "", to_html(results, language), flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page)))


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_sentence_is_there_in_chinese_with_the_same_blanks():
    assert CHINESE.table.keys() == TEXTS.keys()
    differing = {key for key, text in TEXTS.items() if fields(text) != fields(CHINESE.table[key])}
    assert differing == {"date"}  # a month has a name in one and a number in the other


def test_every_metric_is_there_in_chinese():
    missing = [name for name in DEFINITIONS if name not in METRICS]
    assert not missing, f"add title and meaning to evaluation/texts/chinese_metrics.py: {', '.join(missing)}"
    unknown = [name for name in METRICS if name not in DEFINITIONS]
    assert not unknown, f"no metric has these names: {', '.join(unknown)}"


@pytest.mark.parametrize("metric", METRICS)
def test_a_meaning_names_its_cut_in_both_languages_or_in_none(metric):
    assert ("{k}" in METRICS[metric][1]) == ("{k}" in DEFINITIONS[metric].meaning)
    for texts in (ENGLISH, CHINESE):
        assert not re.search(r"[{}]", texts.meaning(metric) + texts.meaning(f"{metric}@7"))


def test_a_metric_without_translation_is_told_in_english(monkeypatch):
    monkeypatch.delitem(METRICS, "recall")
    assert wording.metric_title("recall@5", CHINESE) == "Recall@5"
    assert wording.meaning("recall@5", CHINESE) == wording.meaning("recall@5")


def test_known_segments_and_splits_have_their_names():
    assert {f"segment.{name}" for name in wording.SEGMENTS} <= NAMES.keys()
    assert {f"split.{name}" for name in wording.SPLITS} <= NAMES.keys()
    assert {f"split_kind.{name}" for name in wording.SPLITS} <= NAMES.keys()


def patterns(node: ast.AST) -> Iterator[str]:
    """Strings of a module, with {} for what an f-string fills in."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
        elif isinstance(part, ast.JoinedStr):
            yield "".join(it.value if isinstance(it, ast.Constant) else "{}" for it in part.values)


@pytest.fixture(scope="module")
def said_by_evaluation() -> set[str]:
    folders = (SOURCE, SOURCE.parent / "rerank")  # the aims of rerankers are told in notes
    files = [file for folder in folders for file in folder.rglob("*.py") if file.parent.name != "texts"]
    files.append(SOURCE.parent / "encoders" / "tuned.py")
    return {text for file in files for text in patterns(ast.parse(file.read_text("utf-8")))}


@pytest.mark.parametrize("note", NOTES)
def test_translated_notes_are_those_that_an_evaluation_makes(note, said_by_evaluation):
    assert note in said_by_evaluation
    assert note.count("{}") == NOTES[note].count("{}")


def test_notes_are_translated_with_what_they_name():
    told = CHINESE.note("ease was left out: it takes at most 15,000 items, the data have 20,000.")
    assert told == "略去 ease：它最多处理 15,000 个物品，数据中有 20,000 个。"
    leak = "Leak (target-in-history): 3 test targets stand in the history of their own query (user 'a', item 'b')"
    told = CHINESE.note(f"{leak}: give what came before the target only.")
    assert told.startswith(
        "泄漏（target-in-history）：3 个测试目标出现在它们自己查询的历史中（user 'a', item 'b'）"
    )
    for before, here in (
        ("fold 1, fold 3", "第 1 折、第 3 折"),
        ("2021-03-04 to 2021-04-13", "2021-03-04 至 2021-04-13"),
    ):
        note = f"{before}: Test queries without any history: 7."
        assert CHINESE.note(note) == f"{here}：没有任何历史的测试查询：7 个。"
        assert ENGLISH.note(note) == note
    assert CHINESE.note("Something {odd}.") == "Something {odd}."
    assert ENGLISH.note("Something odd.") == "Something odd."


def test_windows_folds_and_groups_are_named_in_chinese():
    assert CHINESE.place("2021-03-04 to 2021-04-13") == "2021-03-04 至 2021-04-13"
    assert CHINESE.place("1.5e+09 to 3") == "1.5e+09 至 3"
    assert CHINESE.place("fold 3") == "第 3 折"
    assert CHINESE.place("Back to School") == "Back to School"  # a category of the data
    told = {
        "age=39 to under 53": "age：39 至不足 53",
        "age=under 39": "age：不足 39",
        "age=53+": "age：53 及以上",
        "city=other": "city：其他",
        "city=Rio": "city：Rio",
    }
    for name, here in told.items():
        assert wording.segment_title(f"group:{name}", CHINESE) == here
        assert wording.segment_title(f"group:{name}") == name


def test_notes_of_shift_tests_and_replays_are_translated():
    from fuserec.evaluation.replay import Replay, _said
    from fuserec.evaluation.shift import _Categories, _Time

    replayed = _said(Replay(3, 0.5, ("refit", "nothing", "update")))
    for note in (*_Time.notes, *_Categories.notes, *replayed):
        assert not re.search("[a-z]{2,} [a-z]{2,}", CHINESE.note(note)), note
        assert ENGLISH.note(note) == note
    assert "“保持原样”" in CHINESE.note(_Time.notes[0])


def test_no_english_sentence_is_left_in_the_chinese_page(fixed):
    page = said(fixed, "zh")
    pieces = {piece.strip() for text in TEXTS.values() for piece in re.split(r"\{[^}]*\}", text)}
    left = [piece for piece in pieces if len(piece) > 5 and piece in page]
    assert left == []
    assert not [about.meaning for about in DEFINITIONS.values() if about.meaning.split("{k}")[0] in page]
    assert '<html lang="zh-CN">' in to_html(fixed, "zh")
    assert '<html lang="en">' in to_html(fixed)


def test_numbers_days_and_percentages_are_written_as_each_language_does(fixed):
    english, chinese = said(fixed, "en"), said(fixed, "zh")
    for piece in ("22,363 users", "61.2 %", "measured on 31 March 2026", "96 s", "105 of 1,000 users"):
        assert piece in english, piece
    for piece in ("22,363 名用户", "61.2%", "评测日期：2026年3月31日", "96 秒", "每 1,000 名用户中有 105 名"):
        assert piece in chinese, piece
    assert not re.search(r"\d %", chinese)
    assert wording.duration(221.4, CHINESE) == "3 分 41 秒"
    assert CHINESE.day("soon") == ENGLISH.day("soon") == "soon"
    assert ENGLISH.day("2026-12-01") == "1 December 2026"


def test_reasons_are_in_the_language_of_the_report(fixed):
    assert "Because of “Aloe Vera Gel”." in said(fixed, "en")
    assert "因为您关注过“Aloe Vera Gel”。" in said(fixed, "zh")
    assert "Because of" not in said(fixed, "zh")


def test_every_family_of_metrics_has_its_name():
    assert {f"family.{family}" for family in get_args(Family)} <= TEXTS.keys()


def test_names_of_several_configurations_keep_what_stands_before():
    assert CHINESE.name("cohort", "a: b: short") == "a: b: 短历史"
    assert CHINESE.name("cohort", "odd") == "odd"
    assert CHINESE.name("cohort", "odd: ") == "odd: "


def test_an_unknown_language_is_refused():
    with pytest.raises(RequestError, match="language 'fr': a report is in en or zh"):
        texts_in("fr")
    assert set(LANGUAGES) == {"en", "zh"}
