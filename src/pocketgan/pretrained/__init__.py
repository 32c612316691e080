"""Networks that other people trained and that evaluate images."""
