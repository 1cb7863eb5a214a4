"""Neural collaborative filtering: products and a network."""
