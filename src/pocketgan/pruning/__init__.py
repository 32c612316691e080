"""Algebra on widths: selections, gates, elastic views, importance, budgets."""
