"""Signals that ask the process to end: they wait until a step is whole, and are never lost."""

from __future__ import annotations

import os
import signal
import threading

import pytest

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
stops = pytest.importorskip("fuserec.neural.stops")


@pytest.fixture(autouse=True)
def handlers():
    """Give the handlers back whatever a test does."""
    before = {number: signal.getsignal(number) for number in stops.ASKS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


def heard(number):
    """Return a list that fills up with the signals of a kind that are heeded."""
    found = []
    signal.signal(number, lambda number, frame: found.append(number))
    return found


@pytest.mark.parametrize("number", stops.ASKS)
def test_a_signal_waits_until_it_is_heeded(number):
    found = heard(number)
    with stops.held_back(True) as stop:
        assert not stop.came
        send(number)
        assert stop.came == [number]
        assert found == []
        stop.heed()
        assert found == [number]
    assert found == [number]


def test_an_interrupt_is_one():
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def training():
        with stops.held_back(True) as stop:
            send(signal.SIGINT)
            stop.heed()

    with pytest.raises(KeyboardInterrupt):
        training()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_of_the_last_moment_is_not_lost():
    found = heard(signal.SIGTERM)
    with stops.held_back(True):
        send(signal.SIGTERM)
    assert found == [signal.SIGTERM]


def test_what_goes_on_after_a_signal_heeds_it_once():
    found = heard(signal.SIGTERM)
    with stops.held_back(True) as stop:
        send(signal.SIGTERM)
        stop.heed()
        assert not stop.came
        send(signal.SIGTERM)
    assert found == [signal.SIGTERM] * 2


def test_a_signal_that_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stops.held_back(True) as stop:
        send(signal.SIGINT)
        assert stop is None or not stop.came
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_nothing_is_held_back_where_it_is_not_wanted():
    before = {number: signal.getsignal(number) for number in stops.ASKS}
    with stops.held_back(False) as stop:
        assert stop is None
        assert {number: signal.getsignal(number) for number in stops.ASKS} == before


def test_the_handlers_come_back_after_a_fault():
    before = {number: signal.getsignal(number) for number in stops.ASKS}

    def training():
        with stops.held_back(True):
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        training()
    assert {number: signal.getsignal(number) for number in stops.ASKS} == before


def test_another_thread_than_the_main_one_holds_nothing_back():
    found = []

    def training():
        with stops.held_back(True) as stop:
            found.append(stop)

    thread = threading.Thread(target=training)
    thread.start()
    thread.join()
    assert found == [None]
