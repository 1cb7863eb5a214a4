"""The few hot kernels: top-k, sparse products, linear solves. Each has an oracle test."""
