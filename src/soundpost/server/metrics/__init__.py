"""Metrics for Prometheus, at a listener of their own."""
