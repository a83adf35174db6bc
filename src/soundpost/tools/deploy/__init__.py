"""Configurations for what runs or fronts the server, made from its own settings: a module for each target."""

from soundpost.tools.deploy.plan import BackendAddress, Deployment, ConfigFile, DeployPlan

__all__ = ["Backend", "Deployment", "File", "Plan"]
