"""Firmware bundles and their roll-outs."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gm_server.acts import firmware as bundles
from gm_server.acts import rollouts
from gm_server.acts.firmware import BundleView
from gm_server.acts.paging import Page, Paging
from gm_server.acts.rollouts import NewRollout, RolloutState, RolloutView, TargetView
from gm_server.api.endpoints import Call, Endpoint
from gm_server.service.live import Live


class UploadQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose the bundle is to be."""

    domain: Annotated[str, Meta(max_length=700, description="Id or path; without it the bundle is everybody's.")] = ""


class RolloutQuery(Paging, frozen=True, forbid_unknown_fields=True):
    """Which roll-outs."""

    state: RolloutState | None = None


def _remove_file(live: Live, bundle_id: str) -> None:
    live.uploads.files.remove(bundle_id)


def _add(session: Session, call: Call) -> BundleView:
    return bundles.add_bundle(session, call.by, call.files, call.body, call.query.domain, call.now)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/firmware",
        name="listFirmware",
        summary="List firmware bundles, the newest first",
        tag="Firmware",
        scope="read",
        query=Paging,
        answer=Page[BundleView],
        work=lambda session, call: bundles.list_bundles(session, call.by, call.files, call.query),
    ),
    Endpoint(
        method="POST",
        path="/firmware",
        name="uploadFirmware",
        summary="Keep a firmware bundle (RAUC, verity format); its signature is for the gateways to verify",
        tag="Firmware",
        scope="change",
        query=UploadQuery,
        admit=lambda session, call: bundles.check_upload(session, call.by, call.query.domain),
        answer=BundleView,
        created="/firmware/{id}",
        work=_add,
    ),
    Endpoint(
        method="GET",
        path="/firmware/{bundle_id}",
        name="getFirmware",
        summary="Read one bundle's record",
        tag="Firmware",
        scope="read",
        answer=BundleView,
        work=lambda session, call: bundles.get_bundle(session, call.by, call.files, call.id),
    ),
    Endpoint(
        method="DELETE",
        path="/firmware/{bundle_id}",
        name="removeFirmware",
        summary="Remove a bundle that is not being rolled out, with its past roll-outs",
        tag="Firmware",
        scope="change",
        work=lambda session, call: bundles.remove_bundle(session, call.by, call.id, call.now),
        finish=_remove_file,
    ),
    Endpoint(
        method="GET",
        path="/rollouts",
        name="listRollouts",
        summary="List roll-outs, the newest first",
        tag="Firmware",
        scope="read",
        query=RolloutQuery,
        answer=Page[RolloutView],
        work=lambda session, call: rollouts.list_rollouts(session, call.by, call.query, state=call.query.state),
    ),
    Endpoint(
        method="POST",
        path="/rollouts",
        name="startRollout",
        summary="Roll a bundle out to a domain or to appliances, in waves",
        tag="Firmware",
        scope="change",
        body=NewRollout,
        answer=RolloutView,
        created="/rollouts/{id}",
        work=lambda session, call: rollouts.start_rollout(session, call.by, call.files, call.body, call.now),
    ),
    Endpoint(
        method="GET",
        path="/rollouts/{rollout_id}",
        name="getRollout",
        summary="Read one roll-out",
        tag="Firmware",
        scope="read",
        answer=RolloutView,
        work=lambda session, call: rollouts.get_rollout(session, call.by, call.id),
    ),
    Endpoint(
        method="GET",
        path="/rollouts/{rollout_id}/targets",
        name="listRolloutTargets",
        summary="List how far every appliance of a roll-out is, in their order",
        tag="Firmware",
        scope="read",
        query=Paging,
        answer=Page[TargetView],
        work=lambda session, call: rollouts.list_targets(session, call.by, call.id, call.query),
    ),
    Endpoint(
        method="POST",
        path="/rollouts/{rollout_id}/stop",
        name="stopRollout",
        summary="Offer it to nobody any more",
        tag="Firmware",
        scope="change",
        answer=RolloutView,
        work=lambda session, call: rollouts.stop_rollout(session, call.by, call.id, call.now),
    ),
    Endpoint(
        method="POST",
        path="/rollouts/{rollout_id}/resume",
        name="resumeRollout",
        summary="Go on with a stopped roll-out",
        tag="Firmware",
        scope="change",
        answer=RolloutView,
        work=lambda session, call: rollouts.resume_rollout(session, call.by, call.files, call.id, call.now),
    ),
)
