"""Custom AI on Azure: eight learning paths, on this machine or on your subscription."""

__version__ = "0.1.0"
