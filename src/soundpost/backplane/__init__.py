"""Backplanes: nodes act as one, on one host by a memory registry or a hub, on many over Redis."""

from soundpost.backplane.memory_registry import MemoryRegistry
from soundpost.backplane.registry import Registry
from soundpost.backplane.single_node import SingleNode

__all__ = ["MemoryRegistry", "Registry", "SingleNode"]
