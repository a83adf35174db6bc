"""How nodes act as one. A single process needs :class:`SingleNode`, which has nobody to tell."""

from soundpost.backplane.registry import Registry
from soundpost.backplane.single_node import SingleNode

__all__ = ["Registry", "SingleNode"]
