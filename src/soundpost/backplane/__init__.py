"""How nodes act as one: on one host by a registry or a hub, on many over Redis."""

from soundpost.backplane.registry import Registry
from soundpost.backplane.single_node import SingleNode

__all__ = ["Registry", "SingleNode"]
