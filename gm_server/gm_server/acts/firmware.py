"""Firmware bundles: kept, seen, removed. A bundle belongs to a domain, or to the server and so to everybody.

Its signature is not judged here but by every gateway, against the key in its own image: whoever takes over this server
can offer a file, and no gateway installs it.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from gm_server.access.actors import Actor, Permission
from gm_server.appliances import firmware as records
from gm_server.appliances.bundle_files import BundleFiles, Received
from gm_server.audit.events import Event
from gm_server.audit.log import Subject, record
from gm_server.database.tables import Domain, FirmwareBundle, FirmwareRollout
from gm_server.exceptions import Forbidden

from .paging import Page, Paging, fetch, matches
from .sight import within
from .subjects import find_domain, missing


class BundleView(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle. Sizes are bytes, times Unix seconds."""

    id: str
    domain: str | None
    """Whose it is; null: everybody's."""
    version: str
    board: str
    """Its manifest's ``compatible``: gateways take no other than their own."""
    size_bytes: int
    sha256: str
    created_at: float
    file: bool
    """Whether its file is here; a restored backup has the records alone."""
    running: int = 0
    """Roll-outs that run."""


class BundleFound(msgspec.Struct, frozen=True):
    """A bundle and the path of its domain."""

    record: FirmwareBundle
    domain: str | None

    @property
    def subject(self) -> Subject:
        """As the audit log names it."""
        return Subject(self.record.id, f"{self.record.board} {self.record.version}", self.domain or "")


def list_bundles(session: Session, by: Actor, files: BundleFiles, paging: Paging) -> Page[BundleView]:
    """Return the bundles that the actor's roles show, the newest first."""
    query = select(FirmwareBundle, Domain.path).outerjoin(Domain, Domain.id == FirmwareBundle.domain_id)
    seen = within(Domain.path, by.seen_domains)
    if by.roles and by.may_see_himself:
        seen = or_(seen, FirmwareBundle.domain_id.is_(None))
    query = query.where(seen, matches(paging.search, FirmwareBundle.version, FirmwareBundle.board))
    found = fetch(session, query, paging, FirmwareBundle.created_at, FirmwareBundle.id, descending=True)
    return Page(
        tuple(_view(session, files, BundleFound(row[0], row[1])) for row in found.rows), found.next, found.total
    )


def get_bundle(session: Session, by: Actor, files: BundleFiles, reference: str) -> BundleView:
    """Return one bundle."""
    return _view(session, files, find_bundle(session, by, reference))


def check_upload(session: Session, by: Actor, domain: str) -> None:
    """Raise NotFound or Forbidden unless the actor may keep bundles here: asked before a byte of one is read."""
    _owner(session, by, domain)


def add_bundle(
    session: Session, by: Actor, files: BundleFiles, received: Received, domain: str, now: float
) -> BundleView:
    """Keep a received bundle for a domain (id or path; empty: for everybody)."""
    owner = _owner(session, by, domain)
    bundle, restored = records.add_bundle(session, files, received, owner.id if owner else None, now)
    found = BundleFound(bundle, owner.path if owner else None)
    record(session, by, Event.FIRMWARE_UPLOADED, found.subject, now, "done", sha256=bundle.sha256.hex(), again=restored)
    return _view(session, files, found)


def remove_bundle(session: Session, by: Actor, reference: str, now: float) -> str:
    """Remove a bundle that is not being rolled out; return its id: once it is committed the file is to be removed."""
    found = find_bundle(session, by, reference, Permission.CHANGE)
    bundle_id, subject = found.record.id, found.subject
    records.remove_bundle(session, found.record)
    record(session, by, Event.FIRMWARE_REMOVED, subject, now)
    return bundle_id


def find_bundle(session: Session, by: Actor, reference: str, permission: Permission = Permission.SEE) -> BundleFound:
    """Return a bundle by id; raises NotFound, Forbidden. Everybody with a role sees those of the server."""
    bundle = session.get(FirmwareBundle, reference)
    if bundle is None:
        missing("bundle", reference)
    domain = session.get_one(Domain, bundle.domain_id).path if bundle.domain_id is not None else None
    if domain is None and by.roles and by.may_see_himself:
        if permission is not Permission.SEE and not by.may(permission, None):
            raise Forbidden("this bundle is everybody's: only administrators of the whole server may change it")
    else:
        by.must(permission, domain, f"bundle {reference[:80]}")
    return BundleFound(bundle, domain)


def _owner(session: Session, by: Actor, domain: str) -> Domain | None:
    if domain:
        return find_domain(session, by, domain, Permission.CHANGE)
    by.must_serve()
    return None


def _view(session: Session, files: BundleFiles, found: BundleFound) -> BundleView:
    bundle = found.record
    running = select(func.count()).where(FirmwareRollout.bundle_id == bundle.id, FirmwareRollout.state == "running")
    return BundleView(
        id=bundle.id,
        domain=found.domain,
        version=bundle.version,
        board=bundle.board,
        size_bytes=bundle.size_bytes,
        sha256=bundle.sha256.hex(),
        created_at=bundle.created_at,
        file=files.has(bundle.id, bundle.size_bytes),
        running=session.scalar(running) or 0,
    )
