"""What depends on a node's size."""

from __future__ import annotations

import pytest

from customai.provisioning import node_pool

TEMPORARY_GB = {  # Microsoft's size pages: the disk that a node has of its own, None: none that AKS can use for its system
    "Standard_D2ds_v5": 75,
    "Standard_D4ds_v5": 150,
    "Standard_D4ads_v5": 150,
    "Standard_E4-2ds_v5": 150,
    "Standard_NC4as_T4_v3": 176,
    "Standard_NC24ads_A100_v4": 64,
    "Standard_NC40ads_H100_v5": 128,
    "Standard_D4s_v5": None,
    "Standard_D4as_v5": None,
    "Standard_DS3_v2": None,
    "Standard_D4ds_v6": None,
    "Standard_ND96isr_H100_v5": None,
}


@pytest.mark.parametrize("size", TEMPORARY_GB)
def test_a_nodes_system_is_on_its_own_disk_where_it_fits(size):
    room = TEMPORARY_GB[size]
    assert (node_pool.LOCAL_DISK.fullmatch(size) is not None) == (room is not None)
    assert room is None or room >= node_pool.EPHEMERAL_GB


@pytest.mark.parametrize(("size", "gpu"), [("Standard_NC4as_T4_v3", True), ("Standard_D4ds_v5", False)])
def test_gpus_are_known_by_their_size(size, gpu):
    assert node_pool.is_gpu(size) == gpu
