"""Configurations of programs that run or front the server, made from its settings; one module for each target."""

from soundpost.operating_system import require_posix
from soundpost.tools.deploy.plan import BackendAddress, ConfigFile, Deployment, DeployPlan

__all__ = ["BackendAddress", "ConfigFile", "DeployPlan", "Deployment"]

require_posix()
