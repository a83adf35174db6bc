"""Faults under an application that publishes often, and the account of what arrived."""
