"""https by the spec: the deployment's own commands trust its certificate and no other."""

from __future__ import annotations

import http.client
import re
import shutil
import ssl
import subprocess

import pytest


@pytest.fixture
def secured(deployment):
    """certificate(name) makes NAME.pem and NAME.key beside the spec."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")

    def certificate(name, names="DNS:scoring.example,IP:127.0.0.1"):
        files = ["-keyout", deployment.folder / f"{name}.key", "-out", deployment.folder / f"{name}.pem"]
        subject = [
            "-subj",
            "/CN=scoring.example",
            "-addext",
            f"subjectAltName={names}",
            "-days",
            "2",
        ]
        made = [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            *files,
            *subject,
        ]
        subprocess.run(made, check=True, capture_output=True)

    deployment.certificate = certificate
    certificate("a")
    deployment.edit_endpoint("tls: {certificate: a.pem, key: a.key}")
    return deployment


def subject_of(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    connection.request("GET", "/v2/health/live")
    assert connection.getresponse().status == 200
    shown = connection.sock.getpeercert(binary_form=True)
    connection.close()
    return shown


def asked(connection):
    connection.request("GET", "/v2/health/live")
    return connection.getresponse()


def pem(path):
    return ssl.PEM_cert_to_DER_cert(path.read_text())


def test_a_deployment_serves_https_and_a_new_certificate_takes_over(secured, cli):
    secured.deploy()
    status = secured.status()["endpoint"]
    assert status["url"].startswith("https://")
    assert status["health"] == "healthy"
    assert secured.score(3) == "3"
    assert subject_of(secured.port) == pem(secured.folder / "a.pem")
    plain = http.client.HTTPConnection("127.0.0.1", secured.port, timeout=30)
    with pytest.raises((http.client.BadStatusLine, ConnectionError)):
        asked(plain)
    plain.close()
    secured.certificate("a")  # renewed in its place
    assert secured.redeploy()["endpoint"] == "changed"
    assert subject_of(secured.port) == pem(secured.folder / "a.pem")
    assert secured.score(7) == "7"


def test_what_is_no_certificate_is_told_and_what_is_up_stays(secured):
    secured.deploy()
    shown = subject_of(secured.port)
    secured.certificate("b")
    secured.edit(tls="{certificate: a.pem, key: b.key}")
    secured.deploy(code=None).failed(1, "the TLS certificate cannot be used", "a.pem")
    assert subject_of(secured.port) == shown
    secured.edit(tls="{certificate: nothing.pem, key: b.key}")
    secured.deploy(code=None).failed(2, "endpoint.tls.certificate", "nothing.pem")
    secured.edit(tls="{certificate: a.pem, key: a.key}")


@pytest.mark.parametrize("names", ["IP:127.0.0.1", "DNS:scoring.example,DNS:*.scoring.example"])
def test_the_curl_line_trusts_the_certificate_whatever_it_is_made_for(secured, names):
    secured.certificate("a", names)
    said = secured.deploy().out
    (line,) = re.findall(r"^  (curl .*)$", said, re.MULTILINE)
    assert f"--cacert {secured.folder / 'a.pem'} " in line
    assert ("https://scoring.example" in line) == names.startswith("DNS")
    if shutil.which("curl") is None:
        pytest.skip("there is no curl to run the line with")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert '"label":"3"' in done.stdout, done.stderr
