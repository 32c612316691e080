"""Measuring generators on data: how good their images are, and how quickly they generate them."""

from pocketgan.evaluation.accumulator import Scores
from pocketgan.evaluation.config import INCEPTIONS, METRICS, SAMPLED, EvaluationConfig
from pocketgan.evaluation.result import Result, cost_result, latencies
from pocketgan.evaluation.run import evaluate, real_moments, side_data

__all__ = [
    "INCEPTIONS",
    "METRICS",
    "SAMPLED",
    "EvaluationConfig",
    "Result",
    "Scores",
    "cost_result",
    "evaluate",
    "latencies",
    "real_moments",
    "side_data",
]
