"""The control plane of Cognitora: sealed containers for AI agents, on your own machine."""

__version__ = "0.1.0"
