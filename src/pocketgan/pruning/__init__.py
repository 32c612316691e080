"""The algebra on widths: selection, gates, elastic views, importance, budgets."""
