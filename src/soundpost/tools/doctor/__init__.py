"""Diagnosis of a server that browsers or backends do not reach, for ``soundpost doctor``."""

from soundpost.tools.doctor.examination import Examination, Step
from soundpost.tools.doctor.examine import examine
from soundpost.tools.doctor.plan import CheckPlan

__all__ = ["CheckPlan", "Examination", "Step", "examine"]
