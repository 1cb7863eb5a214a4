"""Generative retrieval: ids spelt digit by digit."""
