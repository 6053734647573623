"""The kinds of things a step can make: one module each, pure functions from neutral inputs to a target's request.

A kind's module builds its neutral step for the paths (`step`), and has one function per target it exists on, named
after the target (`local`), that lowers the step's inputs to that target's request.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from customai.model import Json

KINDS = {
    "aks": "customai.provisioning.aks",
    "app_insights": "customai.provisioning.app_insights",
    "batch_deployment": "customai.provisioning.batch_deployment",
    "batch_endpoint": "customai.provisioning.batch_endpoint",
    "batchai_cluster": "customai.provisioning.batchai_cluster",
    "batchai_experiment": "customai.provisioning.batchai_experiment",
    "batchai_file_server": "customai.provisioning.batchai_file_server",
    "batchai_job": "customai.provisioning.batchai_job",
    "batchai_workspace": "customai.provisioning.batchai_workspace",
    "blob_service": "customai.provisioning.blob_service",
    "caller": "customai.provisioning.caller",
    "container": "customai.provisioning.container",
    "data_factory": "customai.provisioning.data_factory",
    "data_factory_pipeline": "customai.provisioning.data_factory_pipeline",
    "data_factory_start": "customai.provisioning.data_factory_start",
    "data_factory_trigger": "customai.provisioning.data_factory_trigger",
    "databricks_connector": "customai.provisioning.databricks_connector",
    "databricks_job": "customai.provisioning.databricks_job",
    "databricks_run": "customai.provisioning.databricks_run",
    "databricks_storage": "customai.provisioning.databricks_storage",
    "databricks_workspace": "customai.provisioning.databricks_workspace",
    "disk_access": "customai.provisioning.disk_access",
    "dsvm": "customai.provisioning.dsvm",
    "endpoint": "customai.provisioning.endpoint",
    "function_app": "customai.provisioning.function_app",
    "function_code": "customai.provisioning.function_code",
    "function_config": "customai.provisioning.function_config",
    "function_plan": "customai.provisioning.function_plan",
    "function_publishing": "customai.provisioning.function_publishing",
    "identity": "customai.provisioning.identity",
    "image": "customai.provisioning.image",
    "interface": "customai.provisioning.interface",
    "job": "customai.provisioning.job",
    "job_image": "customai.provisioning.job_image",
    "key_vault": "customai.provisioning.key_vault",
    "kubernetes": "customai.provisioning.kubernetes",
    "log_workspace": "customai.provisioning.log_workspace",
    "maintenance": "customai.provisioning.maintenance",
    "ml_component": "customai.provisioning.ml_component",
    "ml_compute": "customai.provisioning.ml_compute",
    "ml_environment": "customai.provisioning.ml_environment",
    "ml_job": "customai.provisioning.ml_job",
    "ml_workspace": "customai.provisioning.ml_workspace",
    "model": "customai.provisioning.model",
    "namespace": "customai.provisioning.namespace",
    "nat_gateway": "customai.provisioning.nat_gateway",
    "network": "customai.provisioning.network",
    "node_pool": "customai.provisioning.node_pool",
    "online_deployment": "customai.provisioning.online_deployment",
    "online_endpoint": "customai.provisioning.online_endpoint",
    "public_ip": "customai.provisioning.public_ip",
    "registry": "customai.provisioning.registry",
    "resource_group": "customai.provisioning.resource_group",
    "role": "customai.provisioning.role",
    "schedule": "customai.provisioning.schedule",
    "security_group": "customai.provisioning.security_group",
    "smoke_test": "customai.provisioning.smoke_test",
    "storage_account": "customai.provisioning.storage_account",
    "stream": "customai.provisioning.stream",
    "traffic": "customai.provisioning.traffic",
    "upload": "customai.provisioning.upload",
}


def lowering(kind: str, target: str) -> Callable[[Json], Json] | None:
    """How this kind is asked of this target; None where it does not exist there."""
    return cast("Callable[[Json], Json] | None", getattr(import_module(KINDS[kind]), target, None))
