"""What the portal's TLS says of the client certificates that it takes, looked at by OpenSSL's own client."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from gatelink.exceptions import GatelinkError
from gatelink.identity import load_certificate
from gm_server.service.authority_names import name_authority
from inproc.gm_running import running_gm
from inproc.parties import party_identity


@pytest.mark.parametrize("version", ["-tls1_3", "-tls1_2"])
def test_portal_names_its_user_authority_and_no_other(tmp_path: Path, version: str) -> None:
    async def scenario() -> None:
        async with running_gm(tmp_path / "gm") as gm:
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gm.endpoint.port}", version]
            done = await asyncio.to_thread(subprocess.run, command, input=b"Q\n", capture_output=True, check=False)
            said = done.stdout.decode()
            named = said.partition("Acceptable client certificate CA names\n")[2].partition("\nRequested")[0]
            authority = load_certificate(gm.directory.user_authority().certificate)
            name = authority.subject.rfc4514_string().removeprefix("CN=")
            assert named.splitlines()[0] == f"CN = {name}", said
            assert len([line for line in named.splitlines() if "CN = " in line]) == 1

    asyncio.run(scenario())


def test_nonsense_is_refused_as_an_authority() -> None:
    with pytest.raises(GatelinkError, match="cannot be read"):
        name_authority(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), b"no certificate")
    # Nothing of it is left in OpenSSL's queue, which the next reading of a certificate would stumble over.
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=party_identity().certificate)
