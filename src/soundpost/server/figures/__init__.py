"""Figures of a host and of a cluster, for metrics, the dashboard and ``soundpost top``."""
