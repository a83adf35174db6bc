"""Configurations for what runs or fronts the server, made from its own settings: a module for each target."""

from soundpost.tools.deploy.plan import Backend, Deployment, File, Plan

__all__ = ["Backend", "Deployment", "File", "Plan"]
