"""Answers what is asked of the daemon itself: status, lock, enrolment, configuration, log, restart."""

from __future__ import annotations

import asyncio

from gatelink.exceptions import InputError
from sitemanager.config import shown, to_toml
from sitemanager.core import local_requests as ask
from sitemanager.core.local import Caller, DoneAnswer
from sitemanager.core.status import Status
from sitemanager.host import power
from sitemanager.host.page_certificate import fingerprint, page_certificate
from sitemanager.host.page_secret import PageSecret
from sitemanager.host.ports import ports

from .enrolment import SOFTWARE
from .log import Log
from .page_login import PageLogin
from .parts import Surroundings


class Counter:
    """Registers itself at the desk."""

    def __init__(self, around: Surroundings, log: Log, login: PageLogin) -> None:
        self._around = around
        self._log = log
        self._login = login

    def register(self) -> None:
        """Answer from now on."""
        desk = self._around.desk
        desk.register(ask.AboutRequest, self._about, access="anybody")
        desk.register(ask.PageCertificateRequest, self._certificate, access="anybody")
        desk.register(ask.StatusRequest, self._status)
        desk.register(ask.LockRequest, self._lock)
        desk.register(ask.LockChangedRequest, self._lock_changed, access="owner")
        desk.register(ask.EnrolRequest, self._enrol)
        desk.register(ask.EnrolmentRequest, self._enrolment)
        desk.register(ask.CancelEnrolmentRequest, self._cancel)
        desk.register(ask.ForgetRequest, self._forget)
        desk.register(ask.ConfigRequest, self._config)
        desk.register(ask.PortsRequest, self._ports, deadline_s=30)
        desk.register(ask.TryConfigRequest, self._try_config, deadline_s=30)
        desk.register(ask.TryTomlRequest, self._try_toml, deadline_s=30)
        desk.register(ask.TrialRequest, self._trial)
        desk.register(ask.KeepTrialRequest, self._keep)
        desk.register(ask.UndoTrialRequest, self._undo, deadline_s=30)
        desk.register(ask.SecretRequest, self._secret, access="owner")
        desk.register(ask.LogRequest, self._read_log)
        desk.register(ask.RestartRequest, self._restart)

    def _about(self, request: ask.AboutRequest, caller: Caller) -> ask.AboutAnswer:
        del request, caller
        return ask.AboutAnswer(
            software=SOFTWARE,
            name=self._around.state.known().name,
            is_new=self._login.is_new,
            dev_interfaces=self._around.configuration.config.dev_interfaces,
        )

    def _certificate(self, request: ask.PageCertificateRequest, caller: Caller) -> ask.PageCertificateAnswer:
        del request, caller
        pem = page_certificate(self._around.state.directory)
        return ask.PageCertificateAnswer(pem=pem, fingerprint=fingerprint(pem))

    def _status(self, request: ask.StatusRequest, caller: Caller) -> Status:
        del request, caller
        return self._around.status()

    def _lock(self, request: ask.LockRequest, caller: Caller) -> Status:
        self._around.access.set(request, caller)
        return self._around.status()

    def _lock_changed(self, request: ask.LockChangedRequest, caller: Caller) -> Status:
        del request, caller
        self._around.access.changed()
        return self._around.status()

    def _enrol(self, request: ask.EnrolRequest, caller: Caller) -> ask.EnrolmentAnswer:
        if not request.claim and not request.address:
            raise InputError("give a claim, or the address of the GateManager")
        self._around.setup.begin(request)
        self._around.report(f"an enrolment was begun by {caller.name}")
        return self._around.setup.answer()

    def _enrolment(self, request: ask.EnrolmentRequest, caller: Caller) -> ask.EnrolmentAnswer:
        del request, caller
        return self._around.setup.answer()

    async def _cancel(self, request: ask.CancelEnrolmentRequest, caller: Caller) -> ask.EnrolmentAnswer:
        del request, caller
        await self._around.setup.cancel()
        return self._around.setup.answer()

    def _forget(self, request: ask.ForgetRequest, caller: Caller) -> DoneAnswer:
        del request
        self._around.report(f"the GateManager is forgotten, at the word of {caller.name}")
        self._around.state.reset()
        self._stop_soon()
        return DoneAnswer(text="forgotten; the SiteManager begins anew")

    def _config(self, request: ask.ConfigRequest, caller: Caller) -> ask.ConfigAnswer:
        del request, caller
        config = self._around.configuration.config
        return ask.ConfigAnswer(values=shown(config), toml=to_toml(config, hide_passwords=True))

    async def _ports(self, request: ask.PortsRequest, caller: Caller) -> ask.PortsAnswer:
        del request, caller
        return ask.PortsAnswer(ports=await asyncio.to_thread(ports))

    async def _try_config(self, request: ask.TryConfigRequest, caller: Caller) -> ask.TrialAnswer:
        self._around.record("configuration", f"a change of {', '.join(request.values)[:300]} is tried by {caller.name}")
        return await self._around.configuration.try_values(request.values)

    async def _try_toml(self, request: ask.TryTomlRequest, caller: Caller) -> ask.TrialAnswer:
        self._around.record("configuration", f"a whole configuration is tried by {caller.name}")
        return await self._around.configuration.try_toml(request.toml)

    def _trial(self, request: ask.TrialRequest, caller: Caller) -> ask.TrialAnswer:
        del request, caller
        return self._around.configuration.trial()

    async def _keep(self, request: ask.KeepTrialRequest, caller: Caller) -> ask.TrialAnswer:
        del caller
        return await self._around.configuration.keep(anyway=request.anyway)

    async def _undo(self, request: ask.UndoTrialRequest, caller: Caller) -> ask.TrialAnswer:
        del request
        return await self._around.configuration.undo(f"by {caller.name}")

    def _secret(self, request: ask.SecretRequest, caller: Caller) -> DoneAnswer:
        del request, caller
        PageSecret(self._around.state.directory).reset()
        self._login.forget_everybody()
        self._around.record("page-password", "the password of the set-up page was reset to the label's")
        return DoneAnswer(text="the secret on the label is the password again")

    def _read_log(self, request: ask.LogRequest, caller: Caller) -> ask.LogAnswer:
        del caller
        return self._log.since(request.after)

    def _restart(self, request: ask.RestartRequest, caller: Caller) -> DoneAnswer:
        self._around.record("restart", f"{'the unit' if request.whole_unit else 'the SiteManager'}: {caller.name}")
        if request.whole_unit:
            if self._around.slots.system() is None:
                power.restart()
            else:
                self._around.slots.restart()
            return DoneAnswer(text="the unit restarts")
        self._stop_soon()
        return DoneAnswer(text="the SiteManager restarts")

    def _stop_soon(self) -> None:
        """After the answer went out."""
        asyncio.get_running_loop().call_later(0.3, self._around.stop)
