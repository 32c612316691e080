"""Networks that other people trained and that judge pictures."""
