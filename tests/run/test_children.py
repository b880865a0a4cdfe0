"""Processes of our own, signals that come while they start, and their end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from monai_mriprep.run.children import Children, become_worker, how_it_died
from tests.run.works import hang

pytestmark = pytest.mark.timeout(60)


def start(children: Children, target, *args: object) -> multiprocessing.Process:
    process = children.context.Process(target=target, args=args, daemon=True)
    with children.starting():
        process.start()
    return process


def good_worker(sender) -> None:
    become_worker()
    sender.send(None)
    hang()


def stubborn(sender) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sender.send(None)
    hang()


def stopped(sender) -> None:
    sender.send(None)
    os.kill(os.getpid(), signal.SIGSTOP)


@pytest.mark.parametrize("target", [good_worker, stubborn, stopped])
def test_they_end_with_the_block_and_others_do_not(target):
    other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    other.start()
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with Children() as children:
        process = start(children, target, sender)
        receiver.recv()
        assert children.pids() == {process.pid}
        assert children.died() == {}
    assert not process.is_alive()
    assert set(children.died()) == {process.pid}
    assert multiprocessing.active_children() == [other]
    other.kill()
    other.join()


def test_one_that_was_never_started_is_none():
    with Children() as children:
        children.context.Process(target=hang)
        assert children.pids() == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_the_processes_are_known(monkeypatch, number):
    received: list[int] = []
    before = signal.signal(number, lambda number, _: received.append(number))
    try:
        with Children() as children, children.starting():
            os.kill(os.getpid(), number)
            time.sleep(0.01)
            assert received == []
        assert received == [number]
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    finally:
        signal.signal(number, before)


GROUP = """
import signal, sys, time
from monai_mriprep.run.children import Children, become_worker
def slow():
    time.sleep(0.3)
    become_worker()
    time.sleep(60)
with Children() as children:
    with children.starting():
        children.context.Process(target=slow, daemon=True).start()
        print("started", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_a_child_that_is_interrupted_while_it_starts_shows_nothing():
    line = [sys.executable, "-c", GROUP]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout.readline() == "started\n"
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=20) == ("interrupted\n", "")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "was killed (SIGKILL), most often because memory ran out"),
        (-11, "died (SIGSEGV)"),
        (3, "ended with exit status 3"),
    ],
)
def test_a_death_in_words(code, words):
    assert how_it_died(code) == words
