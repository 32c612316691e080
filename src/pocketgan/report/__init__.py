"""Self-contained HTML page from run directories."""

from pocketgan.report.comparison import comparison_table
from pocketgan.report.page import write_report

__all__ = ["comparison_table", "write_report"]
