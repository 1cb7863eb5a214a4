"""Protocols, statistics and the report: what a recommender is worth, with its uncertainty."""
