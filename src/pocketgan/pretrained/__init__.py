"""Pretrained networks of evaluation and perceptual losses."""
