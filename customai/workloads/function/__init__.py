"""A function app of Azure Functions that begins a run of a batch endpoint."""
