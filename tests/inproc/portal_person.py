"""A person at the portal without a browser: forms with their tokens, cookies kept, nothing followed unasked."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from types import TracebackType

import httpx

from gatelink.identity import Identity, to_pem
from inproc.gm_running import DEADLINE_S, PASSWORD, RunningGm

SESSION = "__Host-gatelink"
LOGIN = "__Host-gatelink-login"


class Person:
    """``origin`` is what a browser says of itself with each form."""

    def __init__(self, gm: RunningGm, directory: Path, identity: Identity | None = None) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if identity is not None:
            file = directory / f"{id(self)}.pem"
            file.write_bytes(to_pem(identity))
            context.load_cert_chain(file)
        self.base = f"https://127.0.0.1:{gm.endpoint.port}"
        self.client = httpx.AsyncClient(base_url=self.base, verify=context, timeout=DEADLINE_S)
        self.origin: str | None = self.base
        self.page: httpx.Response | None = None

    async def __aenter__(self) -> Person:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()

    async def open(self, path: str) -> httpx.Response:
        """Open a page; its token is the next form's."""
        self.page = await self.client.get(path)
        return self.page

    @property
    def token(self) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.page.text if self.page is not None else "")
        assert found is not None, self.page and self.page.text
        return found[1]

    @property
    def secret(self) -> str:
        """The cookie of who is signed in; empty for nobody."""
        return self.client.cookies.get(SESSION) or ""

    async def send(self, path: str, token: str | None = None, **fields: str | list[str]) -> httpx.Response:
        """Send a form of the page that was opened last."""
        headers = {"Origin": self.origin} if self.origin is not None else {}
        data = {"csrf": self.token if token is None else token, **fields}
        answer = await self.client.post(path, data=data, headers=headers)
        if answer.status_code != 303:
            self.page = answer
        return answer

    async def sign_in(self, name: str = "ada", password: str = PASSWORD, wanted: str = "/account") -> httpx.Response:
        """Open the page for it and send name and password."""
        await self.open(f"/sign-in?next={wanted}")
        return await self.send("/sign-in", name=name, password=password, next=wanted)

    async def code(self, kind: str, code: str) -> httpx.Response:
        """Send the code of a second factor."""
        await self.open("/sign-in/code?next=/account")
        return await self.send("/sign-in/code", kind=kind, code=code, next="/account")

    async def is_in(self) -> bool:
        """Whether the portal knows who this is."""
        return (await self.client.get("/account")).status_code == 200
