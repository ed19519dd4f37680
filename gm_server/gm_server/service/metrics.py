"""Figures for Prometheus: read from the running server when somebody asks, never counted twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gm_server import __version__
from gm_server.database.tables import Alarm, Appliance, AuditEntry, Outgoing, User

if TYPE_CHECKING:
    from .server import Server

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """``render`` gives the text of now."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._registry = CollectorRegistry(auto_describe=False)
        self._records: dict[str, int] = {}
        self._registry.register(_Server(self))
        ProcessCollector(namespace="gatelink_gm", registry=self._registry)

    async def render(self) -> bytes:
        """Return every figure in Prometheus' text form."""
        self._records = await self._server.store.read(_count)
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Give the figures of now."""
        server, records = self._server, self._records
        info = GaugeMetricFamily("gatelink_gm_info", "This server.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        sessions = list(server.sessions.live)
        for name, text, value in (
            ("appliances_online", "Appliances that are connected.", sum(1 for _ in server.peers.appliances())),
            ("users_online", "LinkManagers that are connected.", sum(1 for _ in server.peers.users())),
            ("sessions", "Sessions that are live.", len(sessions)),
            ("appliances", "Appliances that are enrolled.", records.get("appliances", 0)),
            ("users", "Users that are not disabled.", records.get("users", 0)),
            ("alarms", "Alarms that are open.", records.get("alarms", 0)),
            ("outgoing", "Mails that wait to be sent.", records.get("outgoing", 0)),
            ("pending_connections", "Connections that have not logged in.", server.door.pending),
            ("web_watchers", "Browsers' pages that are live.", len(server.live.feed)),
        ):
            yield GaugeMetricFamily(f"gatelink_gm_{name}", text, value=float(value))
        entries = float(records.get("audit", 0))
        yield CounterMetricFamily("gatelink_gm_audit_entries", "Entries of the audit log.", value=entries)
        carried = CounterMetricFamily("gatelink_gm_session_bytes", "Bytes that sessions carried.", labels=["from"])
        carried.add_metric(["user"], server.sessions.traffic.from_users)
        carried.add_metric(["appliance"], server.sessions.traffic.from_appliances)
        yield carried
        strangers = CounterMetricFamily("gatelink_gm_strangers", "Connections that came to nothing.", labels=["why"])
        for why, count in sorted(server.strangers.counts.items()):
            strangers.add_metric([why], count)
        yield strangers
        ends = GaugeMetricFamily("gatelink_gm_certificate_end_seconds", "End, Unix time.", labels=["certificate"])
        for name, end in server.certificate_ends():
            ends.add_metric([name], end)
        yield ends


class _Server(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()


def _count(session: Session) -> dict[str, int]:
    counts = {
        "appliances": select(func.count()).select_from(Appliance).where(Appliance.state == "active"),
        "users": select(func.count()).select_from(User).where(User.disabled_at.is_(None)),
        "alarms": select(func.count()).select_from(Alarm).where(Alarm.ended_at.is_(None)),
        "outgoing": select(func.count()).select_from(Outgoing).where(Outgoing.next_try_at.is_not(None)),
        "audit": select(func.coalesce(func.max(AuditEntry.number), 0)),
    }
    return {name: session.scalar(query) or 0 for name, query in counts.items()}
