"""What runs on the machine that trains or scores: the same code here and in Azure.

Imports nothing of customai but errors, so that it can be copied into a container image on its own.
"""
