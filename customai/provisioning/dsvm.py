"""A virtual machine to train on: Data Science or Ubuntu-HPC image, reached over ssh with a key and nothing else.

It ends its own day: once in a while it looks at the time in its user data, and when that time has passed since it was
started, it deallocates itself with its own identity, so that a forgotten machine costs its disk only. (An auto-shutdown
schedule of DevTest Labs does the same, but Microsoft's description of it is not at hand to check the request against.)
User data can be changed on a running machine; the script, which is custom data, cannot, and never has to.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

from customai.errors import SpecError
from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Compute/virtualMachines"
OUTPUTS = {"vm_id": "properties.vmId"}
FIXED = (  # what Azure does not let change: another value is another machine
    "zones",
    "properties.priority",
    "properties.evictionPolicy",
    "properties.osProfile",
    "properties.securityProfile.securityType",
    "properties.storageProfile.imageReference",
    "properties.storageProfile.osDisk.name",
)

IMAGES = {  # publisher, offer, sku; always the latest version: older ones are withdrawn after twelve months
    "dsvm": ("microsoft-dsvm", "ubuntu-2204", "2204-gen2"),
    "ubuntu-hpc": ("microsoft-dsvm", "ubuntu-hpc", "2404"),
}
DISK_TYPES = {"premium": "Premium_LRS", "standard": "StandardSSD_LRS"}
NEVER = "never"
NO_TRUSTED_LAUNCH = re.compile(r"Standard_ND\d+am?sr(_A100)?_v4", re.IGNORECASE)
GPU = re.compile(r"Standard_N", re.IGNORECASE)


def step(
    id_: str,
    *,
    place: Json,
    name: str,
    size: str,
    image: str,
    user: str,
    ssh_key: str | None,
    disk: Json,
    spot: bool,
    zone: str | None,
    shut_down: str,
    interface: str,
    identity: str,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that makes the machine.

    Args:
        id_: the step's id.
        place: the deployment's.
        name: the machine's, and its host name.
        size: Standard_...
        image: a key of IMAGES, or publisher:offer:sku:version.
        user: who logs in.
        ssh_key: the public key's text; None where there is no such file on this machine.
        disk: {"name", "gb", "type"}; type is a key of DISK_TYPES.
        spot: whether Azure may take the machine back (it is then deallocated, and its disk kept).
        zone: "1" to "3", or None.
        shut_down: "19:00 Europe/Berlin", or NEVER.
        interface: the network interface's id.
        identity: the user-assigned identity's id.
        after: the steps that make them.
        why: one line for people.
    """
    inputs = {
        "place": place,
        "name": name,
        "size": size,
        "image": image,
        "user": user,
        "ssh_key": ssh_key,
        "disk": disk,
        "spot": spot,
        "zone": zone,
        "shut_down": shut_down,
        "interface": interface,
        "identity": identity,
    }
    return Step(id_, "put", "dsvm", "compute", inputs, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, name)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    more: dict[str, Json] = {
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {inputs["identity"]: {}}},
    }
    if inputs["zone"] is not None:
        more["zones"] = [inputs["zone"]]
    return put(id_of(place, inputs["name"]), azure_names.tracked(place, _machine(inputs), **more))


def along(request: Json) -> tuple[str, ...]:
    """The ids of what Azure makes, and takes away, along with the machine."""
    group = str(request["url"]).partition("/providers/")[0]
    disk = request["body"]["properties"]["storageProfile"]["osDisk"]["name"]
    return (f"{group}/providers/Microsoft.Compute/disks/{disk}",)


def _machine(inputs: Json) -> Json:
    properties = {
        "hardwareProfile": {"vmSize": inputs["size"]},
        "storageProfile": {"imageReference": image_reference(inputs["image"]), "osDisk": _os_disk(inputs["disk"])},
        "osProfile": _login(inputs),
        "networkProfile": {
            "networkInterfaces": [
                {"id": inputs["interface"], "properties": {"primary": True, "deleteOption": "Detach"}}
            ],
        },
        "securityProfile": security(inputs["size"]),
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
        "userData": _base64(inputs["shut_down"]),
    }
    if inputs["spot"]:
        # Never more than the price on demand; taken back for want of room only.
        properties |= {
            "priority": "Spot",
            "evictionPolicy": "Deallocate",
            "billingProfile": {"maxPrice": -1},
        }
    return properties


def image_reference(image: str) -> Json:
    publisher, offer, sku, *version = IMAGES.get(image) or image.split(":")
    return {"publisher": publisher, "offer": offer, "sku": sku, "version": version[0] if version else "latest"}


def security(size: str) -> Json:
    """Trusted Launch, but for what cannot have it.

    Waivers: the images' NVIDIA drivers are not signed for Secure Boot, so GPU sizes go without it (the measured boot of
    the vTPM stays); ND A100 v4 has no Trusted Launch at all.
    """
    profile: dict[str, Json] = {"encryptionAtHost": True}
    if NO_TRUSTED_LAUNCH.fullmatch(size):
        return profile
    firmware = {"secureBootEnabled": not GPU.match(size), "vTpmEnabled": True}
    return profile | {"securityType": "TrustedLaunch", "uefiSettings": firmware}


def _os_disk(disk: Json) -> Json:
    return {
        "name": disk["name"],
        "createOption": "FromImage",
        "osType": "Linux",
        "caching": "ReadWrite",
        "diskSizeGB": disk["gb"],
        "managedDisk": {"storageAccountType": DISK_TYPES[disk["type"]]},
        "deleteOption": "Delete",
    }


def _login(inputs: Json) -> Json:
    if inputs["ssh_key"] is None:
        raise SpecError(
            "there is no ssh key to log in with",
            where="azure.vm.ssh_key",
            hint="make one: ssh-keygen -t ed25519; or name the .pub file of one",
        )
    user = inputs["user"]
    key = {"path": f"/home/{user}/.ssh/authorized_keys", "keyData": inputs["ssh_key"]}
    return {
        "computerName": inputs["name"],
        "adminUsername": user,
        "customData": _base64(cloud_init()),  # the same for every machine, and holds no secret
        # Waiver CKV_AZURE_50: patches that the platform installs come as an extension.
        "allowExtensionOperations": True,
        "linuxConfiguration": {
            "disablePasswordAuthentication": True,
            "ssh": {"publicKeys": [key]},
            "provisionVMAgent": True,
            "patchSettings": {"patchMode": "AutomaticByPlatform", "assessmentMode": "AutomaticByPlatform"},
        },
    }


def cloud_init() -> str:
    """What the machine does when it is first started."""
    return Path(__file__).with_suffix(".cloud-init.yaml").read_text(encoding="utf-8")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
