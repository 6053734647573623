"""Path 1-1 on Azure: a virtual machine to train on, in a network of its own that only one address may enter by ssh.

group -+- logs
       +- identity -----------------------------+
       +- security group -+- network -- nic -- vm -+- power off role
       +- address --------+                        +- disk access
"""

from __future__ import annotations

from customai.errors import SpecError
from customai.model import Json, Step
from customai.paths import Files, azure_base
from customai.paths.azure_section import Training
from customai.provisioning import (
    disk_access,
    dsvm,
    identity,
    interface,
    nat_gateway,
    network,
    public_ip,
    role,
    security_group,
)

KEY_TYPES = ("ssh-ed25519", "ssh-rsa")  # what Azure takes on Linux


def steps(
    section: Training, *, name: str, path: str, spec_digest: str, subscription: str | None, files: Files
) -> tuple[Step, ...]:
    """What has to be done for a machine to train on.

    Args:
        section: the spec's `azure:` block.
        name: the deployment's.
        path: the learning path's id.
        spec_digest: written on the resource group.
        subscription: of the surroundings, where the spec names none.
        files: the spec's.
    """
    place = section.where(name, subscription)
    return (
        *azure_base.steps(section, place, path=path, spec_digest=spec_digest, ask=_ask(section)),
        identity.step("identity", place=place, name=f"id-{name}", after="group", why="what the machine is to Azure"),
        *_network(section, place, name),
        *_machine(section, place, name, ssh_key=public_key(files, section.vm.ssh_key)),
    )


def _ask(section: Training) -> tuple[str, ...]:
    return ("address_prefix",) if section.vm.public_ip and not section.allow_from else ()


def _network(section: Training, place: Json, name: str) -> tuple[Step, ...]:
    vm = section.vm
    address, gateway = public_ip.id_of(place, f"pip-{name}"), nat_gateway.id_of(place, f"nat-{name}")
    subnet = {
        "name": "vm",
        "prefix": section.network,
        "security_group": security_group.id_of(place, f"nsg-{name}"),
        "nat_gateway": None if vm.public_ip else gateway,
    }
    way_out = nat_gateway.step(
        "nat-gateway",
        place=place,
        name=f"nat-{name}",
        public_ip=address,
        after=("public-ip",),
        why="the way out, and no way in",
    )
    return (
        security_group.step(
            "security-group",
            place=place,
            name=f"nsg-{name}",
            ssh_from=section.allowed() if vm.public_ip else section.allow_from,
            after=("group",),
            why="ssh from you, nothing from anybody else",
        ),
        public_ip.step(
            "public-ip",
            place=place,
            name=f"pip-{name}",
            after=("group",),
            why="the machine's address" if vm.public_ip else "the address that the machine goes out by",
        ),
        *(() if vm.public_ip else (way_out,)),
        network.step(
            "network",
            place=place,
            name=f"vnet-{name}",
            prefix=section.network,
            subnets=[subnet],
            after=("security-group",) if vm.public_ip else ("security-group", "nat-gateway"),
            why=f"a private network, {section.network}",
        ),
        interface.step(
            "nic",
            place=place,
            name=f"nic-{name}",
            subnet=network.subnet_id(place, f"vnet-{name}", "vm"),
            public_ip=address if vm.public_ip else None,
            after=("network", "public-ip") if vm.public_ip else ("network",),
            why="the machine's place in the network",
        ),
    )


def _machine(section: Training, place: Json, name: str, *, ssh_key: str | None) -> tuple[Step, ...]:
    vm = section.vm
    machine = dsvm.step(
        "vm",
        place=place,
        name=name,
        size=vm.size,
        image=vm.image,
        user=vm.user,
        ssh_key=ssh_key,
        disk={"name": f"disk-{name}", "gb": vm.disk_gb, "type": vm.disk},
        spot=vm.spot,
        zone=None if vm.zone is None else str(vm.zone),
        shut_down=f"{vm.shut_down} {vm.time_zone}" if vm.shut_down is not None else dsvm.NEVER,
        interface=interface.id_of(place, f"nic-{name}"),
        identity=identity.id_of(place, f"id-{name}"),
        after=("nic", "identity"),
        why=f"the machine that trains, {vm.size}{', spot' if vm.spot else ''}",
    )
    closed = disk_access.step(
        "disk-access", place=place, name=f"disk-{name}", after=("vm",), why="its disk, closed to the network"
    )
    power_off = role.step(
        "power-off-role",
        place=place,
        scope=dsvm.id_of(place, name),
        role="Desktop Virtualization Power On Off Contributor",
        who=f"id-{name}",
        principal={"$ref": "identity#principal_id"},
        principal_type="ServicePrincipal",
        after=("vm",),
        why="the machine may stop and start itself, and nothing else in Azure",
    )
    return machine, closed, *((power_off,) if vm.shut_down is not None else ())


def public_key(files: Files, name: str) -> str | None:
    """The public key in this file; None where there is no such file, which is a problem only where it is needed.

    Raises:
        SpecError: what is in the file is not a public key that Azure takes.
    """
    try:
        lines = [line.strip() for line in files.lines(name) if line.strip()]
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SpecError(f"the ssh key cannot be read: {reason}", where="azure.vm.ssh_key", hint=name) from None
    if lines and "PRIVATE KEY" in lines[0]:
        hint = f"name its other half, {name}.pub"
        raise SpecError(
            f"{name} is a private key, which never leaves this machine", where="azure.vm.ssh_key", hint=hint
        )
    if len(lines) != 1 or lines[0].split()[0] not in KEY_TYPES or len(lines[0].split()) < 2:
        hint = f"one line that begins with {' or '.join(KEY_TYPES)}; make one: ssh-keygen -t ed25519"
        raise SpecError(f"{name} is not a public key that Azure takes", where="azure.vm.ssh_key", hint=hint)
    return lines[0]
