"""The command ``gm`` without a running server: what people type, and what they are told."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from gatelink.claims import fingerprint_of, parse_claim
from gatelink.identity import from_pkcs12
from gatelink.messages import Service
from gm_server.appliances.devices import add_device, add_services
from gm_server.cli.program import run
from gm_server.directory import DataDirectory
from gm_server.exceptions import Conflict

Gm = Callable[..., str]


PLANT = (
    "domains add acme",
    "domains add acme/line3",
    "claims create --domain acme/line3 --name press1",
    "devices add acme/line3/press1 plc 192.168.1.10",
    "services add acme/line3/press1/plc modbus",
    "services add acme/line3/press1/plc ping --icmp",
    "users add ada --domain acme",
)


class Failed(Exception):
    """A command's exit status and what it said on stderr."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Gm:
    """Runs ``gm`` on a directory that does not exist yet; gives what it prints."""

    def gm(*arguments: object) -> str:
        capsys.readouterr()
        status = run(["--data", str(tmp_path / "gm"), *map(str, arguments)])
        printed = capsys.readouterr()
        if status:
            raise Failed(status, printed.err)
        return printed.out

    return gm


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two directories to copy: fresh from init, and with a plant."""
    fresh, planted = (tmp_path_factory.mktemp("gm") / name for name in ("fresh", "planted"))
    addresses = ["--address", "gm.example", "--address", "203.0.113.1"]
    assert run(["--data", str(fresh), "init", "--name", "test", *addresses]) == 0
    shutil.copytree(fresh, planted)
    for line in PLANT:
        assert run(["--data", str(planted), *line.split()]) == 0
    return fresh, planted


@pytest.fixture
def gm(bare: Gm, made: tuple[Path, Path], tmp_path: Path) -> Gm:
    """A GateManager that has nothing yet."""
    shutil.copytree(made[0], tmp_path / "gm")
    return bare


@pytest.fixture
def plant(bare: Gm, made: tuple[Path, Path], tmp_path: Path) -> Gm:
    """acme/line3/press1 with the device plc (modbus, ping) and the user ada, to whom nothing is granted."""
    shutil.copytree(made[1], tmp_path / "gm")
    return bare


def _rows(gm: Gm, *arguments: object) -> list[dict[str, Any]]:
    rows = json.loads(gm(*arguments, "--json"))
    assert isinstance(rows, list)
    return rows


def _refused(gm: Gm, *arguments: object) -> str:
    """Run a command that must be refused as wrong input; return its one line."""
    with pytest.raises(Failed) as failed:
        gm(*arguments)
    text = str(failed.value)
    assert failed.value.status == 2, text
    assert text.startswith("gm: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


def test_help_is_printed_when_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    printed = capsys.readouterr().out
    for command in ("init", "serve", "claims", "grants", "sessions"):
        assert f"\n  {command} " in printed


def test_init_makes_a_directory_that_only_its_owner_can_read(gm: Gm, tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "gm")
    assert directory.path.stat().st_mode & 0o777 == 0o700
    for file in directory.path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    assert directory.config().addresses == ("gm.example", "203.0.113.1")
    serials = {
        identity.serial
        for identity in (
            directory.appliance_identity(),
            directory.web_identity(),
            directory.device_authority(),
            directory.user_authority(),
        )
    }
    assert len(serials) == 4
    assert directory.appliance_identity().serial in gm("certificate", "show")


def test_init_is_refused_when_there_is_a_gatemanager(gm: Gm, tmp_path: Path) -> None:
    before = (tmp_path / "gm/appliance.pem").read_bytes()
    assert "already" in _refused(gm, "init", "--name", "x", "--address", "y")
    assert (tmp_path / "gm/appliance.pem").read_bytes() == before


def test_init_goes_on_when_it_was_interrupted(gm: Gm, tmp_path: Path) -> None:
    before = (tmp_path / "gm/appliance.pem").read_bytes()
    (tmp_path / "gm/config.toml").unlink()
    assert "gm init" in _refused(gm, "domains", "list")
    gm("init", "--name", "again", "--address", "gm.example")
    assert (tmp_path / "gm/appliance.pem").read_bytes() == before
    assert DataDirectory(tmp_path / "gm").config().name == "again"


def test_init_keeps_off_other_directories(bare: Gm, tmp_path: Path) -> None:
    (tmp_path / "gm").mkdir(mode=0o755)
    (tmp_path / "gm/letters.txt").touch()
    assert "letters.txt" in _refused(bare, "init", "--name", "x", "--address", "gm.example")
    assert (tmp_path / "gm").stat().st_mode & 0o777 == 0o755
    assert os.listdir(tmp_path / "gm") == ["letters.txt"]  # noqa: PTH208


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "x"),
        ("--address", "gm.example"),
        ("--name", "", "--address", "gm.example"),
        ("--name", "x" * 49, "--address", "gm.example"),
        ("--name", "x\ny", "--address", "gm.example"),
        ("--name", "x", "--address", "not an address"),
        ("--name", "x", "--address", "gm.example", "--listen", "443"),
    ],
)
def test_init_leaves_nothing_when_its_input_is_wrong(bare: Gm, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    _refused(bare, "init", *arguments)
    assert not (tmp_path / "gm").exists()


def test_claim_names_the_gatemanager_and_where_it_is(plant: Gm, tmp_path: Path) -> None:
    text = plant("claims", "create", "--domain", "acme/line3", "--name", "press1").strip()
    claim = parse_claim(text, "appliance")
    assert claim.addresses == ("gm.example", "203.0.113.1")
    assert claim.fingerprint == fingerprint_of(DataDirectory(tmp_path / "gm").appliance_identity().certificate)
    bare_text = plant("claims", "create", "--domain", "acme", "--name", "press2", "--without-fingerprint")
    assert parse_claim(bare_text, "appliance").fingerprint is None
    assert claim.secret not in (tmp_path / "gm/gm.sqlite3").read_bytes()
    rows = _rows(plant, "claims", "list")
    assert [row["appliance"] for row in rows] == ["acme/press2", "acme/line3/press1", "acme/line3/press1"]
    plant("claims", "revoke", claim.claim_id)
    assert {row["id"]: row["state"] for row in _rows(plant, "claims", "list")}[claim.claim_id] == "revoked"


def test_invitation_names_its_user(plant: Gm) -> None:
    invitation = parse_claim(plant("invitations", "create", "ada"), "user")
    assert invitation.user == "ada"
    assert _rows(plant, "invitations", "list")[0]["state"] == "open"
    plant("invitations", "revoke", invitation.claim_id)
    assert _rows(plant, "invitations", "list")[0]["state"] == "revoked"
    second = parse_claim(plant("invitations", "create", "ada"), "user")
    plant("users", "disable", "ada")
    assert {row["id"]: row["state"] for row in _rows(plant, "invitations", "list")}[second.claim_id] == "revoked"
    assert "disabled" in _refused(plant, "invitations", "create", "ada")


def test_grants_are_made_listed_and_ended(plant: Gm) -> None:
    plant("grants", "add", "ada", "--domain", "acme")
    plant("grants", "add", "ada", "--device", "acme/line3/press1/plc", "--service", "modbus", "--until", "+8h")
    plant(
        "grants", "add", "ada", "--appliance", "acme/line3/press1", "--from", "2999-01-01 08:00", "--reason", "service"
    )
    coming, limited, wide = _rows(plant, "grants", "list")
    assert (coming["state"], coming["reason"]) == ("coming", "service")
    assert (limited["target"], limited["services"]) == ("device acme/line3/press1/plc", ["modbus"])
    assert limited["valid_until_at"] is not None
    assert (wide["target"], wide["services"], wide["state"]) == ("domain acme", "all", "valid")
    plant("grants", "end", wide["id"])
    assert _rows(plant, "grants", "list")[2]["state"] == "ended"
    assert "modbus" in plant("grants", "list")


WRONG = [
    (("domains", "add", "acme"), "exists already"),
    (("domains", "add", "a/b/c"), "there is no domain a/b"),
    (("domains", "add", "bad\nname"), "holds"),
    (("domains", "add", ""), "1 to 63 characters"),
    (("domains", "remove", "acme"), "still holds"),
    (("domains", "remove", "nowhere"), "there is no domain"),
    (("domains", "move", "acme", "acme/line3/acme"), "into itself"),
    (("domains", "move", "acme/line3", "acme"), "exists already"),
    (("claims", "create", "--domain", "nowhere", "--name", "x"), "there is no domain"),
    (("claims", "create", "--domain", "acme", "--name", "a/b"), "holds"),
    (("claims", "create", "--domain", "acme", "--name", "x", "--days", "0"), "366 days"),
    (("claims", "create", "--domain", "acme", "--name", "x", "--days", "nan"), "366 days"),
    (("claims", "create", "--domain", "acme"), "--name"),
    (("claims", "revoke", "clm-0"), "no claim"),
    (("appliances", "show", "acme/line3/none"), "there is no appliance"),
    (("appliances", "adopt", "wai-0", "--domain", "acme", "--name", "x"), "nobody waits"),
    (("appliances", "rename", "acme/line3/press1", "a/b"), "holds"),
    (("appliances", "remove", "press1"), "there is no appliance"),
    (("devices", "add", "acme/line3/none", "x", "10.0.0.1"), "there is no appliance"),
    (("devices", "add", "acme/line3/press1", "plc", "10.0.0.1"), "already"),
    (("devices", "add", "acme/line3/press1", "x", "192.168.1.10"), "already"),
    (("devices", "add", "acme/line3/press1", "x", "127.0.0.1"), "loopback"),
    (("devices", "add", "acme/line3/press1", "x", "fe80::1"), "IPv4"),
    (("devices", "remove", "acme/line3/press1/none"), "there is no device"),
    (("services", "add", "acme/line3/press1/plc", "modbus"), "already"),
    (("services", "add", "acme/line3/press1/plc", "nonsense"), "there is no preset"),
    (("services", "add", "acme/line3/press1/plc", "x", "--tcp", "0"), "1 to 65535"),
    (("services", "add", "acme/line3/press1/plc", "x", "--udp", "70000"), "1 to 65535"),
    (("services", "remove", "acme/line3/press1/plc", "none"), "no service"),
    (("users", "add", "ada", "--domain", "acme"), "already"),
    (("users", "add", "eve", "--domain", "nowhere"), "there is no domain"),
    (("users", "disable", "eve"), "there is no user"),
    (("invitations", "create", "eve"), "there is no user"),
    (("grants", "add", "ada"), "one of"),
    (("grants", "add", "ada", "--domain", "acme", "--appliance", "acme/line3/press1"), "one of"),
    (("grants", "add", "eve", "--domain", "acme"), "there is no user"),
    (("grants", "add", "ada", "--domain", "acme", "--service", "modbuss"), "no device there has a service"),
    (("grants", "add", "ada", "--domain", "acme", "--until", "yesterday"), "expected a time"),
    (("grants", "add", "ada", "--domain", "acme", "--until", "2001-01-01"), "before it begins"),
    (("grants", "add", "ada", "--domain", "acme", "--from", "+2h", "--until", "+1h"), "before it begins"),
    (("grants", "add", "ada", "--domain", "acme", "--reason", "a\nb"), "one line"),
    (("grants", "end", "grt-0"), "there is no grant"),
    (("sessions", "history", "--limit", "0"), "0"),
    (("groups", "add", "technicians"), "by its whole path"),
    (("groups", "join", "acme/none", "ada"), "there is no group"),
    (("roles", "give", "observer", "ada"), "say where"),
    (("roles", "give", "observer", "--everywhere"), "either a user or a group"),
    (("roles", "give", "chief", "ada", "--everywhere"), "chief"),
    (("roles", "take", "rol-0"), "there is no role"),
    (("tokens", "create", "ada", "--name", "x", "--days", "400"), "366 days"),
    (("tokens", "revoke", "tok-0"), "there is no token"),
    (("certificates", "revoke", "crt-0"), "there is no certificate"),
    (("users", "change", "ada", "--email", "nonsense"), "mail address"),
    (("users", "change", "ada", "--phone", "0123"), "phone number"),
    (("grants", "add", "ada", "--domain", "acme", "--weekly", "someday"), "weekly window"),
    (("grants", "add", "ada", "--domain", "acme", "--weekly", "mon", "--zone", "Mars"), "time zone"),
    (("nonsense",), "nonsense"),
    (("domains", "nonsense"), "nonsense"),
    (("domains", "add"), "PATH"),
]


@pytest.mark.parametrize(
    ("arguments", "told"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_wrong_input_is_one_clear_line_and_changes_nothing(
    plant: Gm, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    def records() -> list[str]:
        database = DataDirectory(tmp_path / "gm").database()
        with database.connection() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            lines = [str(line) for line in raw.iterdump()]
        database.close()
        return lines

    before = records()
    assert told in _refused(plant, *arguments)
    assert records() == before


def test_subtree_moves_with_its_domain(plant: Gm) -> None:
    plant("domains", "move", "acme", "acme works")
    assert [row["path"] for row in _rows(plant, "domains", "list")] == ["acme works", "acme works/line3"]
    assert _rows(plant, "devices", "list")[0]["path"] == "acme works/line3/press1/plc"


def test_appliance_is_renamed_and_removed_with_what_it_has(plant: Gm) -> None:
    plant("grants", "add", "ada", "--device", "acme/line3/press1/plc")
    plant("appliances", "rename", "acme/line3/press1", "press 2", "--domain", "acme")
    assert _rows(plant, "grants", "list")[0]["target"] == "device acme/press 2/plc"
    shown = json.loads(plant("appliances", "show", "acme/press 2", "--json"))
    assert shown["devices"] == ["plc 192.168.1.10 (modbus tcp/502, ping icmp)"]
    assert (shown["state"], shown["online"]) == ("expected", None)
    plant("appliances", "remove", "acme/press 2")
    assert _rows(plant, "grants", "list") == _rows(plant, "claims", "list") == []


def test_exported_certificate_opens_with_its_password_alone(
    plant: Gm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ada.p12"
    monkeypatch.setenv("GATELINK_GM_PASSWORD", "short")
    assert "10 characters" in _refused(plant, "users", "export-p12", "ada", file)
    assert not file.exists()
    monkeypatch.setenv("GATELINK_GM_PASSWORD", "correct horse battery")
    plant("users", "export-p12", "ada", file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert from_pkcs12(file.read_bytes(), "correct horse battery").certificate
    assert b"correct horse" not in file.read_bytes()
    assert _rows(plant, "users", "list")[0]["state"] == "active"
    assert "exists already" in _refused(plant, "users", "export-p12", "ada", file)


def test_live_state_is_said_to_be_unknown_when_no_server_runs(plant: Gm) -> None:
    for command in (("status",), ("sessions", "list"), ("sessions", "end", "ses-0")):
        with pytest.raises(Failed, match="`gm serve` does not run") as failed:
            plant(*command)
        assert failed.value.status == 1
    assert _rows(plant, "appliances", "list")[0]["online"] is None
    assert _rows(plant, "sessions", "history") == []


@pytest.mark.usefixtures("plant")
def test_appliance_has_no_more_devices_than_one_message_can_hold(tmp_path: Path) -> None:
    database = DataDirectory(tmp_path / "gm").database()
    with database.write() as session:
        for number in range(20):
            add_device(session, "acme/line3/press1", f"device {number} " + "x" * 40, f"10.0.0.{number + 1}")
    many = tuple(Service("y" * 60, "tcp", port, port) for port in range(1, 61))

    def add_everywhere(session: Session) -> None:
        for number in range(20):
            add_services(session, f"acme/line3/press1/device {number} " + "x" * 40, many)

    with database.write() as session, pytest.raises(Conflict, match="too many devices"):
        add_everywhere(session)
    database.close()


def test_init_invites_who_administers_the_whole_server(bare: Gm) -> None:
    told = bare("init", "--name", "x", "--address", "gm.example", "--administrator", "ada", "--domain", "works")
    [link] = [line for line in told.splitlines() if line.startswith("https://gm.example/invitation#")]
    assert parse_claim(link.partition("#")[2], "user").user == "ada"
    [ada] = _rows(bare, "users", "list")
    assert (ada["domain"], ada["state"], ada["roles"]) == ("works", "invited", ["administrator everywhere"])
    assert "https://gm.example/invitation#" in bare("administrators", "invite", "ada")
    assert len(_rows(bare, "roles", "list")) == 1
    assert "https://" in bare("administrators", "invite", "eve")
    assert {row["holder"] for row in _rows(bare, "roles", "list")} == {"ada", "eve"}


def test_init_makes_nothing_when_the_administrators_name_is_wrong(bare: Gm, tmp_path: Path) -> None:
    _refused(bare, "init", "--name", "x", "--address", "gm.example", "--administrator", "a/b")
    assert not (tmp_path / "gm").exists()


def test_groups_roles_and_tokens_are_given_and_taken(plant: Gm) -> None:
    plant("groups", "add", "acme/technicians")
    plant("groups", "join", "acme/technicians", "ada")
    assert [row["name"] for row in _rows(plant, "groups", "members", "acme/technicians")] == ["ada"]
    plant("grants", "add", "--group", "acme/technicians", "--domain", "acme", "--weekly", "mon-fri 08:00-17:00")
    [grant] = _rows(plant, "grants", "list")
    assert (grant["user"], grant["weekly"]) == ("group acme/technicians", "mon-fri 08:00-17:00 (UTC)")
    plant("roles", "give", "observer", "--group", "acme/technicians", "--domain", "acme")
    plant("roles", "give", "administrator", "ada", "--everywhere")
    [ada] = _rows(plant, "users", "list")
    assert ada["roles"] == ["administrator everywhere", "observer acme"]
    for row in _rows(plant, "roles", "list"):
        plant("roles", "take", row["id"])
    plant("groups", "rename", "acme/technicians", "night shift")
    plant("groups", "leave", "acme/night shift", "ada")
    plant("groups", "remove", "acme/night shift")
    assert _rows(plant, "groups", "list") == _rows(plant, "roles", "list") == _rows(plant, "grants", "list") == []
    secret = plant("tokens", "create", "ada", "--name", "ci", "--scope", "change").strip()
    assert secret.startswith("glt_")
    [token] = _rows(plant, "tokens", "list")
    assert (token["user"], token["scopes"], token["state"]) == ("ada", ["read", "change"], "valid")
    assert secret not in plant("tokens", "list")
    plant("tokens", "revoke", token["id"])
    assert _rows(plant, "tokens", "list")[0]["state"] == "revoked"


def test_certificates_of_users_are_listed_and_revoked(plant: Gm, tmp_path: Path) -> None:
    plant("users", "export-p12", "ada", tmp_path / "ada.p12", "--password", "correct horse battery")
    [certificate] = _rows(plant, "certificates", "list", "--user", "ada")
    assert (certificate["user"], certificate["origin"], certificate["state"]) == ("ada", "pkcs12", "valid")
    plant("certificates", "revoke", certificate["id"])
    assert _rows(plant, "certificates", "list")[0]["state"] == "revoked"
    plant("users", "change", "ada", "--email", "ada@example.com", "--login-method", "password")
    assert _rows(plant, "users", "list")[0]["login_method"] == "password"
    events = [row["event"] for row in _rows(plant, "audit", "list")]
    assert {"user.changed", "certificate.revoked", "certificate.issued", "domain.added"} <= set(events)
