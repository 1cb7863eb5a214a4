"""Pretrained language models that are trained here: backbones, ways of tuning them, what they learn, what is kept.

Needs the extra ``deep`` (PyTorch, transformers, peft). Nothing here is imported before a model is tuned.
"""
