"""Generators that others wrote: loaded from a factory, traced, checked, and cut like the models of pocketgan."""
