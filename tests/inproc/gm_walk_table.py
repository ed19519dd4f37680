"""The table of who may ask what: the data of the walk. A route or message that is not here fails it.

``Row(method, address, kind, ...)``; ``kind`` says for whom of ``gm_people`` the answer is yes, for a request about
something in tundra:

    kind        yes                                             no (he sees it: 403)       not there for (404)
    open        everybody, also who is not signed in
    door        the same, but there is nothing to be had without a secret
    own         everybody who is signed in, about himself; a form may be incomplete
    leave       the same; he is signed out by it
    mine        nobody: it belongs to somebody else                                        everybody
    role        who has a role somewhere                        plain, holder
    see         every role in tundra, boss                                                   all others
    grant       those of see, and who has a grant for it                                   all others
    change      tundra's administrator, boss                      tundra's other roles         all others
    look-after  every role in tundra but the observer's, boss     tundra's observer            all others
    decide      tundra's administrator and approver, boss         tundra's others              all others
    asker       holder, who asked                               every role in tundra, boss   all others
    ask         holder, who has a grant that may be asked for                              all others
    server      boss                                            all others
    hidden      boss                                                                       all others
    entry       every role in tundra, boss                        plain, holder              all others

``names``, ``body`` and ``form`` name what is made for each request: ``$device`` is the id of a fresh device in tundra.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

Kind = Literal[
    "open",
    "door",
    "own",
    "leave",
    "mine",
    "role",
    "see",
    "grant",
    "change",
    "look-after",
    "decide",
    "asker",
    "ask",
    "server",
    "hidden",
    "entry",
]


class Row(msgspec.Struct, frozen=True):
    """A method of an address, and for whom it is."""

    method: str
    address: str
    kind: Kind
    names: dict[str, str] = {}
    """Parts of the address: of which kind the thing is that they name."""
    body: Any = None
    query: str = ""
    hidden: int = 404
    """Status for whom it is not there."""
    also: int = 0
    """Another status of those to whom the answer is yes, where the test's server lacks something."""
    file: bool = False
    """What is sent is a firmware bundle, as it is."""


_ID: Final = {
    "alarm_id": "alarm",
    "browser_id": "word",
    "appliance_id": "appliance",
    "certificate_id": "certificate",
    "bundle_id": "bundle",
    "claim_id": "claim",
    "device_id": "device",
    "domain_id": "domain",
    "number": "entry",
    "grant_id": "grant",
    "group_id": "group",
    "invitation_id": "invitation",
    "relay_id": "relay",
    "request_id": "request",
    "role_id": "role",
    "rollout_id": "rollout",
    "session_id": "session",
    "token_id": "token",
    "user_id": "user",
    "waiting_id": "waiting",
}


def _api(
    method: str, address: str, kind: Kind, body: Any = None, query: str = "", also: int = 0, *, file: bool = False
) -> Row:
    names = {name: thing for name, thing in _ID.items() if f"{{{name}}}" in address}
    return Row(method, f"/api/v1{address}", kind, names, body, query, also=also, file=file)


API: Final = (
    _api("GET", "/", "open"),
    _api("GET", "/openapi.json", "open"),
    _api("GET", "/me", "own"),
    _api("GET", "/me/account", "own"),
    _api("PATCH", "/me/account", "own", {"language": "de"}),
    _api("GET", "/me/browsers", "own"),
    _api("DELETE", "/me/browsers/{browser_id}", "mine"),
    _api("POST", "/me/browsers/sign-out", "own"),
    _api("GET", "/me/link-managers", "own"),
    _api("POST", "/me/link-managers/{certificate_id}/sign-out", "mine"),
    _api("GET", "/alarms", "own"),
    _api("POST", "/alarms/{alarm_id}/seen", "look-after"),
    _api("GET", "/audit", "role"),
    _api("GET", "/audit/{number}", "entry"),
    _api("POST", "/audit/export", "role", {"form": "jsonl"}),
    _api("POST", "/audit/export", "role", {"form": "csv"}),
    _api("GET", "/settings/mail", "server"),
    _api("PUT", "/settings/mail", "server", {}),
    _api("GET", "/settings/mail/sent", "server"),
    _api("POST", "/settings/mail/test", "server"),
    _api("GET", "/settings/sms", "server"),
    _api("PUT", "/settings/sms", "server", {}),
    _api("GET", "/settings/sms/sent", "server"),
    _api("POST", "/settings/sms/test", "server"),
    _api("GET", "/settings/alarms", "server"),
    _api("PUT", "/settings/alarms", "server", {}),
    _api("GET", "/settings/certificate", "server"),
    _api("PUT", "/settings/certificate", "server", {}),
    _api("GET", "/domains", "own"),
    _api("GET", "/domains", "see", query="below=$domain"),
    _api("POST", "/domains", "change", {"path": "tundra/$word"}),
    _api("GET", "/domains/{domain_id}", "see"),
    _api("PATCH", "/domains/{domain_id}", "change", {"login_method": "password"}),
    _api("DELETE", "/domains/{domain_id}", "change"),
    _api("GET", "/appliances", "own"),
    _api("GET", "/appliances", "own", query="search=press1"),
    _api("GET", "/appliances", "see", query="domain=$domain"),
    _api("POST", "/appliances", "change", {"domain": "$domain", "name": "new"}),
    _api("GET", "/appliances/{appliance_id}", "see"),
    _api("GET", "/appliances/{appliance_id}/history", "see"),
    _api("PATCH", "/appliances/{appliance_id}", "change", {"note": "new"}),
    _api("DELETE", "/appliances/{appliance_id}", "change"),
    _api("POST", "/appliances/{appliance_id}/revoke", "change"),
    _api("POST", "/appliances/{appliance_id}/claims", "change", {}),
    _api("GET", "/claims", "own"),
    _api("GET", "/claims", "see", query="appliance=$appliance"),
    _api("GET", "/claims/{claim_id}", "see"),
    _api("POST", "/claims/{claim_id}/revoke", "change"),
    _api("GET", "/waiting", "own"),
    _api("POST", "/waiting/{waiting_id}/adopt", "hidden", {"domain": "$domain", "name": "new"}),
    _api("DELETE", "/waiting/{waiting_id}", "hidden"),
    _api("GET", "/devices", "own"),
    _api("GET", "/devices", "own", query="search=192.168.1.10"),
    _api("GET", "/devices", "see", query="appliance=$appliance"),
    _api("POST", "/appliances/{appliance_id}/devices", "change", {"name": "new", "address": "10.0.0.99"}),
    _api("GET", "/devices/{device_id}", "see"),
    _api("GET", "/appliances/{appliance_id}/scan", "change"),
    _api("POST", "/appliances/{appliance_id}/scan", "change", also=409),
    _api("PATCH", "/devices/{device_id}", "change", {"note": "new"}),
    _api("PUT", "/devices/{device_id}/services", "change", []),
    _api("DELETE", "/devices/{device_id}", "change"),
    _api("GET", "/presets", "own"),
    _api("GET", "/users", "own"),
    _api("GET", "/users", "own", query="search=tundra"),
    _api("GET", "/users", "see", query="group=$group"),
    _api("POST", "/users", "change", {"name": "$word", "domain": "$domain"}),
    _api("GET", "/users/{user_id}", "see"),
    _api("GET", "/users/{user_id}/connections", "see"),
    _api("PATCH", "/users/{user_id}", "change", {"full_name": "New"}),
    _api("DELETE", "/users/{user_id}", "change"),
    _api("POST", "/users/{user_id}/disable", "change"),
    _api("POST", "/users/{user_id}/enable", "change"),
    _api("POST", "/users/{user_id}/invitations", "change", {}),
    _api("GET", "/invitations", "own"),
    _api("GET", "/invitations/{invitation_id}", "see"),
    _api("POST", "/invitations/{invitation_id}/revoke", "change"),
    _api("GET", "/groups", "own"),
    _api("GET", "/groups", "see", query="user=$user"),
    _api("POST", "/groups", "change", {"domain": "$domain", "name": "new"}),
    _api("GET", "/groups/{group_id}", "see"),
    _api("PATCH", "/groups/{group_id}", "change", {"name": "$word"}),
    _api("DELETE", "/groups/{group_id}", "change"),
    _api("PUT", "/groups/{group_id}/members/{user_id}", "change"),
    _api("DELETE", "/groups/{group_id}/members/{user_id}", "change"),
    _api("GET", "/roles", "own"),
    _api("GET", "/roles", "see", query="domain=$domain"),
    _api("POST", "/roles", "change", {"role": "operator", "user": "$user", "domain": "$domain"}),
    _api("DELETE", "/roles/{role_id}", "change"),
    _api("GET", "/certificates", "own"),
    _api("POST", "/certificates/{certificate_id}/revoke", "change"),
    _api("GET", "/tokens", "own"),
    _api("POST", "/tokens/{token_id}/revoke", "change"),
    _api("GET", "/grants", "own"),
    _api("GET", "/grants", "see", query="appliance=$appliance"),
    _api("POST", "/grants", "change", {"user": "$user", "device": "$device"}),
    _api("GET", "/grants/{grant_id}", "see"),
    _api("PATCH", "/grants/{grant_id}", "change", {"reason": "new"}),
    _api("POST", "/grants/{grant_id}/end", "change"),
    _api("GET", "/requests", "own"),
    _api("POST", "/requests", "ask", {"appliance": "$press1", "reason": "to see"}),
    _api("GET", "/requests/{request_id}", "grant"),
    _api("POST", "/requests/{request_id}/approve", "decide", {}),
    _api("POST", "/requests/{request_id}/deny", "decide", {}),
    _api("POST", "/requests/{request_id}/withdraw", "asker"),
    _api("GET", "/relays", "own"),
    _api("GET", "/relays", "see", query="appliance=$appliance"),
    _api(
        "POST",
        "/relays",
        "change",
        {"name": "new", "direction": "pull", "device": "$device", "user": "$user", "port": 5000, "service": "ssh"},
    ),
    _api("GET", "/relays/{relay_id}", "see"),
    _api("PATCH", "/relays/{relay_id}", "change", {"enabled": False}),
    _api("DELETE", "/relays/{relay_id}", "change"),
    _api("GET", "/sessions", "own"),
    _api("GET", "/sessions", "own", query="appliance=$press1"),
    _api("GET", "/sessions/{session_id}", "see"),
    _api("POST", "/sessions/{session_id}/end", "change", {}),
    _api("POST", "/sessions/end", "own", {"reason": "night"}),
    _api("GET", "/firmware", "own"),
    _api("POST", "/firmware", "change", query="domain=$domain", file=True),
    _api("GET", "/firmware/{bundle_id}", "see"),
    _api("DELETE", "/firmware/{bundle_id}", "change"),
    _api("GET", "/rollouts", "own"),
    _api("POST", "/rollouts", "change", {"bundle": "$bundle", "domain": "$domain"}, also=409),
    _api("GET", "/rollouts/{rollout_id}", "see"),
    _api("GET", "/rollouts/{rollout_id}/targets", "see"),
    _api("POST", "/rollouts/{rollout_id}/stop", "change"),
    _api("POST", "/rollouts/{rollout_id}/resume", "change"),
)


def _page(
    method: str,
    address: str,
    kind: Kind,
    thing: str = "",
    form: Any = None,
    *,
    names: dict[str, str] | None = None,
    query: str = "",
    hidden: int = 404,
    also: int = 0,
    file: bool = False,
) -> Row:
    return Row(method, address, kind, names or ({"id": thing} if thing else {}), form, query, hidden, also, file)


_DEVICE: Final = {"name": "new", "address": "10.0.0.99"}
_TERMS: Final = {"hours": "always", "which": "all", "zone": "UTC"}
PORTAL: Final = (
    _page("GET", "/about", "open"),
    _page("GET", "/healthz", "open"),
    _page("GET", "/readyz", "open"),
    _page("GET", "/metrics", "door"),
    _page("GET", "/static/{name:path}", "door", names={"name": "word"}),
    _page("GET", "/", "own"),
    # Signing in
    _page("GET", "/sign-in", "door"),
    _page("POST", "/sign-in", "door"),
    _page("GET", "/sign-in/code", "door"),
    _page("POST", "/sign-in/code", "door"),
    _page("GET", "/invitation", "door"),
    _page("POST", "/invitation", "door"),
    _page("GET", "/reset", "door"),
    _page("POST", "/reset", "door"),
    _page("GET", "/reset/{word}", "door", names={"word": "word"}),
    _page("POST", "/reset/{word}", "door", names={"word": "word"}),
    _page("POST", "/sign-out", "leave"),
    # My account
    _page("GET", "/account", "own"),
    _page("POST", "/account/language", "own"),
    _page("GET", "/account/password", "own"),
    _page("POST", "/account/password", "own"),
    _page("GET", "/account/app", "own"),
    _page("POST", "/account/app", "own"),
    _page("GET", "/account/passkey", "own", also=422),
    _page("POST", "/account/passkey", "own"),
    _page("GET", "/account/recovery-codes", "own"),
    _page("POST", "/account/recovery-codes", "own"),
    _page("POST", "/account/factors/{id}/remove", "mine", "word"),
    _page("GET", "/account/certificate", "own"),
    _page("POST", "/account/certificate", "own"),
    _page("POST", "/account/certificates/{id}/revoke", "mine", "certificate", hidden=422),
    _page("GET", "/account/tokens", "own"),
    _page("POST", "/account/tokens", "own", form={"name": "walk", "days": "7"}),
    _page("POST", "/account/tokens/{id}/revoke", "mine", "token"),
    _page("GET", "/account/link-manager", "own"),
    _page("POST", "/account/link-manager", "own"),
    _page("POST", "/account/browsers/{id}/sign-out", "own", "word"),
    _page("POST", "/account/link-managers/{id}/sign-out", "mine", "word"),
    _page("POST", "/account/browsers/sign-out-others", "own"),
    # Appliances
    _page("GET", "/appliances", "own"),
    _page("GET", "/appliances", "own", query="search=press1"),
    _page("GET", "/appliances", "see", query="domain=$domain"),
    _page("GET", "/appliances/add", "own"),
    _page("POST", "/appliances/add", "change", form={"domain": "$domain", "name": "new"}),
    _page("GET", "/appliances/waiting", "own"),
    _page("POST", "/appliances/waiting/{id}/adopt", "hidden", "waiting", {"domain": "$domain", "name": "new"}),
    _page("GET", "/appliances/waiting/{id}/turn-away", "own", "waiting"),
    _page("POST", "/appliances/waiting/{id}/turn-away", "hidden", "waiting"),
    _page("POST", "/appliances/claim-file", "own"),
    _page("GET", "/appliances/{id}", "see", "appliance"),
    _page("GET", "/appliances/{id}", "grant", "press1"),
    _page("GET", "/appliances/{id}/edit", "change", "appliance"),
    _page("POST", "/appliances/{id}/edit", "change", "appliance", {"name": "$word", "domain": "$domain"}),
    _page("GET", "/appliances/{id}/claim", "see", "appliance"),
    _page("POST", "/appliances/{id}/claim", "change", "appliance", {"days": "7"}),
    _page("GET", "/appliances/{id}/revoke", "see", "appliance"),
    _page("POST", "/appliances/{id}/revoke", "change", "appliance"),
    _page("GET", "/appliances/{id}/remove", "see", "appliance"),
    _page("POST", "/appliances/{id}/remove", "change", "appliance"),
    # Devices
    _page("GET", "/devices", "own"),
    _page("GET", "/devices", "own", query="search=192.168.1.10"),
    _page("GET", "/devices/{id}", "see", "device"),
    _page("GET", "/devices/{id}", "grant", "plc"),
    _page("GET", "/devices/{id}/edit", "change", "device"),
    _page("POST", "/devices/{id}/edit", "change", "device", _DEVICE),
    _page("GET", "/devices/{id}/remove", "see", "device"),
    _page("POST", "/devices/{id}/remove", "change", "device"),
    _page("POST", "/devices/{id}/services/add", "change", "device", {"preset": "modbus"}),
    _page("POST", "/devices/{id}/services/remove", "change", "device", {"name": "ssh"}),
    _page("GET", "/appliances/{id}/devices/add", "change", "appliance"),
    _page("POST", "/appliances/{id}/devices/add", "change", "appliance", _DEVICE),
    _page("GET", "/appliances/{id}/scan", "change", "appliance"),
    _page("POST", "/appliances/{id}/scan", "change", "appliance", also=409),
    # Firmware
    _page("GET", "/firmware", "own"),
    _page("POST", "/firmware/upload", "change", query="domain=$domain", file=True),
    _page("GET", "/firmware/{id}/remove", "see", "bundle"),
    _page("POST", "/firmware/{id}/remove", "change", "bundle"),
    _page("GET", "/firmware/{id}/roll-out", "see", "bundle"),
    _page("POST", "/firmware/{id}/roll-out", "change", "bundle", {"domain": "$domain"}, also=409),
    _page("GET", "/rollouts/{id}", "see", "rollout"),
    _page("GET", "/rollouts/{id}/stop", "see", "rollout"),
    _page("POST", "/rollouts/{id}/stop", "change", "rollout"),
    _page("POST", "/rollouts/{id}/resume", "change", "rollout"),
    # Domains
    _page("GET", "/domains", "own"),
    _page("GET", "/domains/add", "own"),
    _page("POST", "/domains/add", "change", form={"path": "tundra/$word"}),
    _page("GET", "/domains/{id}", "see", "domain"),
    _page("GET", "/domains/{id}/edit", "change", "domain"),
    _page("POST", "/domains/{id}/edit", "change", "domain", {"path": "tundra/$word"}),
    _page("GET", "/domains/{id}/remove", "see", "domain"),
    _page("POST", "/domains/{id}/remove", "change", "domain"),
    # People
    _page("GET", "/users", "own"),
    _page("GET", "/users", "own", query="search=tundra"),
    _page("GET", "/users/add", "own"),
    _page("POST", "/users/add", "change", form={"name": "$word", "domain": "$domain"}),
    _page("GET", "/users/{id}", "see", "user"),
    _page("GET", "/users/{id}/edit", "change", "user"),
    _page("POST", "/users/{id}/edit", "change", "user", {"name": "$word", "domain": "$domain"}),
    _page("GET", "/users/{id}/disable", "see", "user"),
    _page("POST", "/users/{id}/disable", "change", "user"),
    _page("POST", "/users/{id}/enable", "change", "user"),
    _page("GET", "/users/{id}/remove", "see", "user"),
    _page("POST", "/users/{id}/remove", "change", "user"),
    _page("POST", "/users/{id}/invite", "change", "user"),
    _page("GET", "/invitations/{id}/revoke", "see", "invitation"),
    _page("POST", "/invitations/{id}/revoke", "change", "invitation"),
    _page("GET", "/users/{user}/certificates/{id}/revoke", "see", names={"user": "user", "id": "certificate"}),
    _page("POST", "/users/{user}/certificates/{id}/revoke", "change", names={"user": "user", "id": "certificate"}),
    _page("GET", "/groups", "own"),
    _page("GET", "/groups/add", "own"),
    _page("POST", "/groups/add", "change", form={"domain": "$domain", "name": "new"}),
    _page("GET", "/groups/{id}", "see", "group"),
    _page("GET", "/groups/{id}/edit", "change", "group"),
    _page("POST", "/groups/{id}/edit", "change", "group", {"name": "$word"}),
    _page("GET", "/groups/{id}/remove", "see", "group"),
    _page("POST", "/groups/{id}/remove", "change", "group"),
    _page("POST", "/groups/{id}/members/add", "change", "group", {"user": "tundra-operator"}),
    _page("POST", "/groups/{id}/members/remove", "change", "group", {"user": "tundra-operator"}),
    _page("GET", "/roles/add", "own"),
    _page("POST", "/roles/add", "change", form={"holder": "$user", "role": "operator", "domain": "$domain"}),
    _page("GET", "/roles/{id}/take", "own", "role"),
    _page("POST", "/roles/{id}/take", "change", "role"),
    # Access
    _page("GET", "/grants", "own"),
    _page("GET", "/grants", "own", query="appliance=$appliance"),
    _page("GET", "/grants/add", "own"),
    _page(
        "POST",
        "/grants/add",
        "change",
        form={"holder": "tundra-worker", "kind": "device", "target": "$device", **_TERMS},
    ),
    _page("GET", "/grants/{id}", "see", "grant"),
    _page("GET", "/grants/{id}", "grant", "held"),
    _page("GET", "/grants/{id}/edit", "change", "grant"),
    _page("POST", "/grants/{id}/edit", "change", "grant", _TERMS),
    _page("GET", "/grants/{id}/end", "see", "grant"),
    _page("POST", "/grants/{id}/end", "change", "grant"),
    _page("POST", "/grants/{id}/end", "change", "held"),
    _page("GET", "/requests", "own"),
    _page("GET", "/requests/add", "own"),
    _page("POST", "/requests/add", "ask", form={"appliance": "$press1", "reason": "to see"}),
    _page("GET", "/requests/{id}", "grant", "request"),
    # By the link in an approver's letter alone.
    _page("GET", "/requests/{id}/decide", "door", "request"),
    _page("POST", "/requests/{id}/decide", "door", "request"),
    _page("POST", "/requests/{id}/approve", "decide", "request"),
    _page("POST", "/requests/{id}/deny", "decide", "request"),
    _page("POST", "/requests/{id}/withdraw", "asker", "request"),
    _page("GET", "/relays", "own"),
    _page("GET", "/relays/add", "own"),
    _page(
        "POST",
        "/relays/add",
        "change",
        form={"name": "$word", "direction": "push", "device": "$device", "user": "tundra-worker", "port": "1883"},
    ),
    _page("GET", "/relays/{id}", "see", "relay"),
    _page("GET", "/relays/{id}/edit", "change", "relay"),
    _page("POST", "/relays/{id}/edit", "change", "relay", {"name": "$word", "user": "tundra-worker", "port": "1884"}),
    _page("GET", "/relays/{id}/remove", "see", "relay"),
    _page("POST", "/relays/{id}/remove", "change", "relay"),
    _page("GET", "/sessions", "own"),
    _page("GET", "/sessions/end", "own"),
    _page("POST", "/sessions/end", "own"),
    _page("GET", "/sessions/{id}", "see", "session"),
    _page("GET", "/sessions/{id}/end", "see", "session"),
    _page("POST", "/sessions/{id}/end", "change", "session"),
    # Records
    _page("GET", "/alarms", "own"),
    _page("POST", "/alarms/{id}/seen", "look-after", "alarm"),
    _page("GET", "/audit", "role"),
    _page("GET", "/audit", "role", query="subject=press1"),
    _page("POST", "/audit/export", "role", form={"form": "jsonl"}),
    _page("POST", "/audit/export", "role", form={"form": "csv"}),
    _page("GET", "/audit/{id:int}", "entry", "entry"),
    # The server
    _page("GET", "/settings", "server"),
    _page("GET", "/settings/mail", "server"),
    _page("POST", "/settings/mail", "server"),
    _page("POST", "/settings/mail/test", "server"),
    _page("GET", "/settings/sms", "server"),
    _page("POST", "/settings/sms/save", "server"),
    _page("POST", "/settings/sms/test", "server"),
    _page("GET", "/settings/alarms", "server"),
    _page("POST", "/settings/alarms", "server"),
    _page("GET", "/settings/certificate", "server"),
    _page("POST", "/settings/certificate", "server"),
    _page("GET", "/settings/backup", "server"),
)
STREAMS: Final = {("GET", "/live")}
"""Answers without an end: walked apart."""
