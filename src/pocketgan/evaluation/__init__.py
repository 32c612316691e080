"""Evaluation of generators on data: quality of their images, and their latency."""

from pocketgan.evaluation.accumulator import Scores
from pocketgan.evaluation.config import EvaluationConfig
from pocketgan.evaluation.result import Result, cost_result, latencies
from pocketgan.evaluation.run import evaluate, real_moments
from pocketgan.metrics.registry import METRICS

__all__ = [
    "METRICS",
    "EvaluationConfig",
    "Result",
    "Scores",
    "cost_result",
    "evaluate",
    "latencies",
    "real_moments",
]
