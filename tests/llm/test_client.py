"""The client against a real server on loopback: answers, faults in one line, budget, cache, many at once."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from dataclasses import replace

import pytest

pytest.importorskip("openai", reason="the extra `llm` (the openai client) is not installed")

from fuserec.errors import ConfigError, LanguageModelError
from fuserec.llm import limits
from fuserec.llm.budget import Budget, BudgetSpentError
from fuserec.llm.client import AnswerError, LanguageModel
from fuserec.llm.config import LLMConfig
from fuserec.llm.prompts import about
from fuserec.run import CancelledError, RunOptions
from fuserec.testing.chat_server import ChatServer, said

RUN = RunOptions(threads=1)
KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSEREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FUSEREC_LLM_KEY", raising=False)


def model_at(server, **options):
    return LanguageModel(LLMConfig(base_url=server.url, model="m", **{"retries": 0, **options}))


def upper(asked):
    return said(asked).upper()


def test_a_question_is_answered():
    with ChatServer(upper) as server, model_at(server, temperature=0.2, max_tokens=99) as model:
        assert model.ask(about("Shout it.", "a small blue lamp", seed=3)) == "A SMALL BLUE LAMP"
    asked = server.requests[0]
    assert (asked["temperature"], asked["max_tokens"], asked["seed"]) == (0.2, 99, 3)
    assert [m["role"] for m in asked["messages"]] == ["system", "user"]
    assert "blue lamp" not in asked["messages"][0]["content"]
    assert (model.usage.calls, model.usage.tokens, model.usage.cached) == (1, 10, 0)


def test_the_same_question_is_asked_once_and_a_changed_one_anew():
    question = about("Shout it.", "a lamp")
    with ChatServer(upper, models=("m", "n")) as server:
        for options in ({}, {}, {"temperature": 0.1}, {"max_tokens": 50}):
            with model_at(server, **options) as model:
                assert model.ask(question) == "A LAMP"
        assert len(server.requests) == 3
        LanguageModel(LLMConfig(base_url=server.url, model="n")).ask(question)
        model_at(server).ask(replace(question, seed=1))
        assert len(server.requests) == 5
        model_at(server, cache=False).ask(question)
        assert len(server.requests) == 6


def test_a_damaged_answer_on_disk_is_asked_anew(tmp_path):
    with ChatServer(upper) as server:
        model_at(server).ask(about("Shout it.", "a lamp"))
        kept = list((tmp_path / "cache" / "answers").rglob("*.json"))
        assert len(kept) == 1
        kept[0].write_text('{"answer": ')
        assert model_at(server).ask(about("Shout it.", "a lamp")) == "A LAMP"
        assert len(server.requests) == 2
        assert json.loads(kept[0].read_text())["answer"] == "A LAMP"
        assert not list((tmp_path / "cache" / "answers").rglob("*.tmp"))


def test_a_busy_server_is_tried_again_after_pauses_that_grow():
    times = []

    def busy_twice(asked):
        times.append(time.monotonic())
        return (503, "{}") if len(times) < 3 else "at last"

    with ChatServer(busy_twice) as server, model_at(server, retries=2) as model:
        assert model.ask(about("Say it.", "x")) == "at last"
    assert times[2] - times[1] > times[1] - times[0] > 0.2
    assert model.usage.calls == 1


def nobody():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def test_a_server_that_is_not_there_is_one_line():
    model = LanguageModel(LLMConfig(base_url=nobody(), model="m", retries=0))
    with pytest.raises(LanguageModelError, match=r"cannot be reached: start the server, or set base_url$"):
        model.ask(about("Say it.", "x"))
    with pytest.raises(LanguageModelError, match="cannot be reached"):
        model.ask_all([about("Say it.", str(n)) for n in range(40)], RUN, "asking")
    assert model.usage.calls < 30  # it gave up


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((500, "{}"), "status 500"),
        ((200, "not json"), "not of the chat protocol"),
        ((200, '{"choices": []}'), "not of the chat protocol"),
        ((200, '{"choices": [{"message": {"content": 3}}]}'), "not of the chat protocol"),
        ((200, "[1, 2]"), "not of the chat protocol"),
        ((200, "[" * 100_000), "not of the chat protocol"),
        ({"content": "half an ans", "finish_reason": "length"}, "cut off: raise max_tokens"),
        ("   ", "is empty"),
        ("<think>so, a lamp is</think>", "is empty"),
    ],
)
def test_an_answer_that_cannot_be_used_is_one_line_and_is_not_kept(reply, told):
    with ChatServer(lambda asked: reply) as server:
        for _ in range(2):
            with model_at(server) as model, pytest.raises(LanguageModelError, match=told) as fault:
                model.ask(about("Say it.", "x"))
            assert "\n" not in str(fault.value)
        assert len(server.requests) == 2


def test_a_slow_server_is_one_line():
    with (
        ChatServer(lambda asked: time.sleep(0.6) or "late") as server,
        model_at(server, timeout_s=0.1) as model,
        pytest.raises(LanguageModelError, match=r"did not answer within 0.1 s, 1 times"),
    ):
        model.ask(about("Say it.", "x"))


def test_an_answer_in_drops_has_to_be_whole_in_time():
    def dripped(asked):
        return 200, b'{"choices": []}', 0.05  # every byte in time, all of them never

    began = time.monotonic()
    with (
        ChatServer(dripped) as server,
        model_at(server, timeout_s=0.3, retries=1) as model,
        pytest.raises(LanguageModelError, match=r"did not answer within 0.3 s, 2 times"),
    ):
        model.ask(about("Say it.", "x"))
    assert 0.6 <= time.monotonic() - began < 5


def test_an_answer_without_end_is_not_read_to_the_end(monkeypatch):
    monkeypatch.setattr(limits, "MOST_BYTES", 2000)
    with (
        ChatServer(lambda asked: "word " * 1000) as server,
        model_at(server) as model,
        pytest.raises(AnswerError, match=r"the answer is longer than [\d,]+ bytes: check base_url$"),
    ):
        model.ask(about("Say it.", "x"))


class TestKey:
    def test_it_comes_from_the_environment(self, monkeypatch):
        with ChatServer(upper, key=KEY) as server:
            with pytest.raises(LanguageModelError, match="no key is in FUSEREC_LLM_KEY"):
                model_at(server).ask(about("Say it.", "x"))
            monkeypatch.setenv("MY_KEY", KEY)
            assert model_at(server, key_variable="MY_KEY").ask(about("Say it.", "x")) == "X"

    def test_it_is_never_told(self, monkeypatch, caplog, tmp_path):
        monkeypatch.setenv("FUSEREC_LLM_KEY", KEY)
        caplog.set_level(logging.DEBUG)
        with ChatServer(upper, key="another") as server:
            with pytest.raises(LanguageModelError, match="the key in FUSEREC_LLM_KEY") as fault:
                model_at(server).ask(about("Say it.", "x"))
            server.key = KEY
            model = model_at(server)
            model.ask(about("Say it.", "y"))
        told = caplog.text + str(fault.value) + repr(fault.value.__cause__) + model.config.model_dump_json()
        told += "".join(p.read_text() for p in tmp_path.rglob("*.json"))
        assert KEY not in told

    def test_it_is_not_sent_unencrypted_to_another_machine(self, monkeypatch):
        monkeypatch.setenv("FUSEREC_LLM_KEY", KEY)
        with pytest.raises(ConfigError, match="without encryption"):
            LanguageModel(LLMConfig(base_url="http://example.com/v1", model="m"))
        LanguageModel(LLMConfig(base_url="https://example.com/v1", model="m"))

    def test_a_proxy_is_not_asked_for_this_machine(self, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", nobody())
        monkeypatch.setenv("NO_PROXY", "")
        with ChatServer(upper) as server:
            assert model_at(server).ask(about("Say it.", "x")) == "X"


def test_a_model_that_the_server_does_not_have():
    with ChatServer(upper) as server:
        model = LanguageModel(LLMConfig(base_url=server.url, model="other"))
        with pytest.raises(LanguageModelError, match=r"'other' .* is not there"):
            model.ask(about("Say it.", "x"))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"base_url": "127.0.0.1:80"}, "begins with http"),
        ({"base_url": "http://me:pw@host/v1"}, "no name, password or key"),
        ({"key_variable": "sk-0123"}, "key_variable"),
        ({"timeout": 3}, "did you mean 'timeout_s'"),
        ({"max_tokens": 500, "max_total_tokens": 400}, "no answer would fit"),
    ],
)
def test_bad_configuration(values, told):
    with pytest.raises(ConfigError, match=told):
        LLMConfig.parse(values, "[llm]")


def test_a_model_has_to_be_named():
    with pytest.raises(ConfigError, match="no model is named"):
        LanguageModel(LLMConfig())


class TestBudget:
    def test_calls(self):
        with ChatServer(upper) as server, model_at(server, max_calls=2) as model:
            found = model.ask_all([about("Say.", t) for t in "abcdab"], RUN, "asking")
            assert sum(answer is not None for answer in found.answers) >= 2
            assert len(server.requests) == 2
            assert "max_calls = 2" in found.stopped
            with pytest.raises(BudgetSpentError, match="goes on from here"):
                model.ask(about("Say.", "z"))
        with (
            ChatServer(upper) as server,
            model_at(server, max_calls=2) as model,
        ):  # what is kept costs nothing
            found = model.ask_all([about("Say.", t) for t in "abcdab"], RUN, "asking")
            assert None not in found.answers
            assert model.usage.cached == 2

    def test_tokens_are_promised_before_they_are_used(self):
        budget = Budget(10, 100, 1e9)
        budget.take(60)
        with pytest.raises(BudgetSpentError, match="max_total_tokens"):
            budget.take(60)
        budget.settle(60, 10)
        budget.take(60)
        assert (budget.calls, budget.tokens) == (2, 10)

    def test_seconds(self):
        budget = Budget(10, 100, 0.05)
        budget.take(1)
        time.sleep(0.06)
        with pytest.raises(BudgetSpentError, match="max_seconds"):
            budget.take(1)


class TestMany:
    def test_answers_stand_in_the_order_of_the_questions_and_no_more_are_asked_at_once(self):
        now, most, lock = [0], [0], threading.Lock()

        def counted(asked):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
            return upper(asked)

        texts = [f"text {n % 9}" for n in range(20)]
        told = []
        run = RunOptions(threads=1, progress=lambda label, done, total: told.append((done, total)))
        with ChatServer(counted) as server, model_at(server, concurrency=3) as model:
            found = model.ask_all([about("Say.", text) for text in texts], run, "asking")
        assert list(found.answers) == [text.upper() for text in texts]
        assert len(server.requests) == 9
        assert 1 < most[0] <= 3
        assert told[-1] == (9, 9)

    def test_single_bad_answers_are_left_out(self):
        with ChatServer(lambda a: "" if said(a) == "b" else upper(a)) as server, model_at(server) as model:
            found = model.ask_all([about("Say.", t) for t in "abc"], RUN, "asking")
        assert found.answers == ("A", None, "C")
        assert found.failed == 1

    def test_nothing_but_bad_answers_is_a_fault(self):
        with ChatServer(lambda a: "") as server, model_at(server) as model:
            with pytest.raises(AnswerError):
                model.ask_all([about("Say.", str(n)) for n in range(50)], RUN, "asking")
            assert len(server.requests) < 50

    def test_a_caller_who_cancels_is_heard(self):
        with ChatServer(upper) as server, model_at(server) as model, pytest.raises(CancelledError):
            model.ask_all([about("Say.", "a")], replace(RUN, cancel=lambda: True), "asking")
