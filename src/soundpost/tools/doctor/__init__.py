"""Finds out why a server is not reached, or events do not arrive, and says it in words: ``soundpost doctor``."""

from soundpost.tools.doctor.examination import Examination, Step
from soundpost.tools.doctor.examine import examine
from soundpost.tools.doctor.plan import CheckPlan

__all__ = ["Examination", "Plan", "Step", "examine"]
