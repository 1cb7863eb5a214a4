"""The semantic softmax: two towers, by ids and by meaning."""
