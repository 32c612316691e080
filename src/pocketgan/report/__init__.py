"""One self-contained HTML page, made from run directories alone."""

from pocketgan.metrics.pareto import pareto_front
from pocketgan.report.comparison import comparison_table
from pocketgan.report.page import write_report
from pocketgan.report.tables import Cell, Table, to_markdown

__all__ = ["Cell", "Table", "comparison_table", "pareto_front", "to_markdown", "write_report"]
