"""Apps of Azure Functions: what a site is made of, and the place that its code is published to (Kudu). Not in the recordings."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .messages import Answer, Request
from .state import Resource

if TYPE_CHECKING:
    from .cloud import Cloud

Body = dict[str, Any]

SITES = "Microsoft.Web/sites"
SHOWN = (
    "http20Enabled",
    "numberOfWorkers",
    "linuxFxVersion",
    "alwaysOn",
)  # of a site's configuration, by the site itself
PARTS = {  # what every site has from its beginning
    "config/web": {"minTlsVersion": "1.2", "ftpsState": "FtpsOnly", "http20Enabled": False},
    "config/authsettingsV2": {"platform": {"enabled": False}},
    "config/appsettings": {},
    "basicPublishingCredentialsPolicies/ftp": {"allow": True},
    "basicPublishingCredentialsPolicies/scm": {"allow": True},
}


@dataclass
class Publishing:
    """What was published to which app: the package's files, and how that went."""

    packages: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    fails: str = ""  # what the next builds fail with, in the log


def shown(body: Body, at: str) -> None:
    """A site as a GET shows it: of its configuration little, and where it is reached."""
    own, name = body["properties"], body["name"]
    configuration = own.get("siteConfig") or {}
    own["siteConfig"] = {key: configuration.get(key) for key in (*SHOWN, "minTlsVersion", "ftpsState", "appSettings")}
    own["siteConfig"] |= {"minTlsVersion": None, "ftpsState": None, "appSettings": None}
    own["state"], own["defaultHostName"] = "Running", f"{name}.azurewebsites.net"
    own["hostNameSslStates"] = [
        {"name": f"{name}.azurewebsites.net", "hostType": "Standard"},
        {"name": f"{at}/{name}" if at else f"{name}.scm.azurewebsites.net", "hostType": "Repository"},
    ]


def settings(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    return Answer(200, {"id": resource.id, "name": resource.name, "properties": resource.asked.get("properties", {})})


def publish(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    sites = [each for each in cloud.store.of_type(SITES) if each.name == found["app"]]
    if not sites:
        return Answer(404)
    with zipfile.ZipFile(io.BytesIO(request.raw)) as package:
        files = {name: package.read(name) for name in package.namelist()}
    cloud.publishing.packages.append((found["app"], files))
    container = sites[0].asked["properties"]["functionAppConfig"]["deployment"]["storage"]["value"].rpartition("/")[2]
    account = sites[0].asked["properties"]["functionAppConfig"]["deployment"]["storage"]["value"].split("/")[2]
    cloud.uploads[f"{account.partition('.')[0]}/{container}/released-package.zip"] = request.raw
    return Answer(202, hashlib.sha256(request.raw).hexdigest()[:32])


def deployment(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    status = 3 if cloud.publishing.fails else 4
    return Answer(200, {"id": found["id"], "status": status, "complete": True, "status_text": ""})


def log(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    lines = ["Running oryx build...", *cloud.publishing.fails.splitlines()]
    return Answer(200, [{"log_time": "2001-02-03T04:05:06Z", "message": line} for line in lines])
