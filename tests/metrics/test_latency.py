import gc

import numpy as np
import pytest
import torch

from pocketgan.metrics.latency import Latency, measure_latency


class Clock:
    """Seconds that pass only when a run says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def run(self, name, seconds, calls):
        ticks = iter(seconds)

        def run():
            calls.append(name)
            self.now += next(ticks)

        return run


def test_runs_take_turns_and_percentiles_are_of_timed_calls_only():
    clock, calls = Clock(), []
    slow, quick = [9.0, *np.arange(1, 12) / 1e3], [9.0, *([0.5e-3] * 11)]
    runs = {"teacher": clock.run("t", slow, calls), "student": clock.run("s", quick, calls)}
    found = measure_latency(runs, warmup=1, repeats=11, batch=4, clock=clock, threads=1)
    assert "".join(calls) == "ts" * 12
    assert list(found) == ["teacher", "student"]
    assert found["teacher"] == Latency(*map(pytest.approx, (6.0, 2.0, 10.0)), threads=1, batch=4, repeats=11)
    assert found["student"]._asdict() == {
        "median": pytest.approx(0.5),
        "p10": pytest.approx(0.5),
        "p90": pytest.approx(0.5),
        "threads": 1,
        "batch": 4,
        "repeats": 11,
    }


def test_threads_and_collection_are_restored_even_after_an_error():
    before, seen = torch.get_num_threads(), []

    def fail():
        seen.append((torch.get_num_threads(), gc.isenabled()))
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        measure_latency({"x": fail}, threads=before + 1)
    assert seen == [(before + 1, False)]
    assert (torch.get_num_threads(), gc.isenabled()) == (before, True)


def test_threads_in_use_are_stated():
    assert measure_latency({"x": lambda: None}, repeats=1)["x"].threads == torch.get_num_threads()


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"warmup": -1}, {"batch": 0}, {"threads": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.*: the least is"):
        measure_latency({"x": lambda: None}, **wrong)


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="at least one named run"):
        measure_latency({})
