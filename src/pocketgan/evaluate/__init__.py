"""Measuring generators on data: how good their pictures are, and how quickly they paint them."""

from pocketgan.evaluate.config import INCEPTIONS, METRICS, SAMPLED, JudgeConfig
from pocketgan.evaluate.judge import Judgement
from pocketgan.evaluate.result import Result, cost_result, latencies
from pocketgan.evaluate.run import evaluate, real_moments, side_data

__all__ = [
    "INCEPTIONS",
    "METRICS",
    "SAMPLED",
    "JudgeConfig",
    "Judgement",
    "Result",
    "cost_result",
    "evaluate",
    "latencies",
    "real_moments",
    "side_data",
]
