"""Costs of a generator and quality of its images."""
