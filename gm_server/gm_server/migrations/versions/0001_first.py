"""The first tables."""

# ruff: noqa: E501 - as Alembic writes it

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "domains",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("parent_id", sa.String(length=128), nullable=True),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["domains.id"], name=op.f("fk_domains_parent_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domains")),
        sa.UniqueConstraint("path", name=op.f("uq_domains_path")),
    )
    op.create_index(op.f("ix_domains_parent_id"), "domains", ["parent_id"], unique=False)
    op.create_table(
        "pin_alarms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reporter_id", sa.String(length=128), nullable=False),
        sa.Column("reporter_name", sa.String(length=640), nullable=False),
        sa.Column("address", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("proxy", sa.Boolean(), nullable=False),
        sa.Column("serial", sa.String(length=128), nullable=False),
        sa.Column("key_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen_at", sa.Double(), nullable=False),
        sa.Column("last_seen_at", sa.Double(), nullable=False),
        sa.Column("reported_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pin_alarms")),
        sa.UniqueConstraint(
            "reporter_id",
            "address",
            "port",
            "key_sha256",
            name=op.f("uq_pin_alarms_reporter_id_address_port_key_sha256"),
        ),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("user_name", sa.String(length=128), nullable=False),
        sa.Column("appliance_id", sa.String(length=128), nullable=False),
        sa.Column("appliance_path", sa.String(length=640), nullable=False),
        sa.Column("devices", sa.Text(), nullable=False),
        sa.Column("address", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("tunnel_pc", sa.String(length=15), nullable=False),
        sa.Column("requested_at", sa.Double(), nullable=False),
        sa.Column("joined_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("end_code", sa.String(length=128), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("bytes_from_user", sa.BigInteger(), nullable=False),
        sa.Column("bytes_from_appliance", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_ended_at"), "sessions", ["ended_at"], unique=False)
    op.create_index(op.f("ix_sessions_requested_at"), "sessions", ["requested_at"], unique=False)
    op.create_table(
        "successions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("old_key_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("new_certificate", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_successions")),
    )
    op.create_table(
        "appliances",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("domain_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.Column("certificate_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("key_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("software", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=128), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("enrolled_at", sa.Double(), nullable=True),
        sa.Column("last_seen_at", sa.Double(), nullable=True),
        sa.Column("last_address", sa.String(length=128), nullable=True),
        sa.Column("last_port", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "state <> 'active' OR (certificate IS NOT NULL AND certificate_sha256 IS NOT NULL AND key_sha256 IS NOT NULL)",
            name=op.f("ck_appliances_active_has_certificate"),
        ),
        sa.CheckConstraint("state IN ('expected', 'active', 'revoked')", name=op.f("ck_appliances_state")),
        sa.ForeignKeyConstraint(
            ["domain_id"], ["domains.id"], name=op.f("fk_appliances_domain_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appliances")),
        sa.UniqueConstraint("certificate_sha256", name=op.f("uq_appliances_certificate_sha256")),
        sa.UniqueConstraint("domain_id", "name", name=op.f("uq_appliances_domain_id_name")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_appliances_key_sha256")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("domain_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("disabled_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name=op.f("fk_users_domain_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_index(op.f("ix_users_domain_id"), "users", ["domain_id"], unique=False)
    op.create_table(
        "claims",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("appliance_id", sa.String(length=128), nullable=True),
        sa.Column("user_id", sa.String(length=128), nullable=True),
        sa.Column("proof_key", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.Column("used_key_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.CheckConstraint("(appliance_id IS NULL) <> (user_id IS NULL)", name=op.f("ck_claims_one_owner")),
        sa.CheckConstraint("(used_at IS NULL) = (used_key_sha256 IS NULL)", name=op.f("ck_claims_used_by")),
        sa.CheckConstraint("revoked_at IS NULL OR proof_key IS NULL", name=op.f("ck_claims_revoked_is_wiped")),
        sa.ForeignKeyConstraint(
            ["appliance_id"], ["appliances.id"], name=op.f("fk_claims_appliance_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_claims_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
    )
    op.create_index(op.f("ix_claims_appliance_id"), "claims", ["appliance_id"], unique=False)
    op.create_index(op.f("ix_claims_user_id"), "claims", ["user_id"], unique=False)
    op.create_table(
        "devices",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("appliance_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("address", sa.String(length=15), nullable=False),
        sa.ForeignKeyConstraint(
            ["appliance_id"], ["appliances.id"], name=op.f("fk_devices_appliance_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
        sa.UniqueConstraint("appliance_id", "address", name=op.f("uq_devices_appliance_id_address")),
        sa.UniqueConstraint("appliance_id", "name", name=op.f("uq_devices_appliance_id_name")),
    )
    op.create_table(
        "user_certificates",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("certificate_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("key_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("software", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.Double(), nullable=False),
        sa.Column("last_seen_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.CheckConstraint("origin IN ('invitation', 'pkcs12')", name=op.f("ck_user_certificates_origin")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_certificates_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_certificates")),
        sa.UniqueConstraint("certificate_sha256", name=op.f("uq_user_certificates_certificate_sha256")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_user_certificates_key_sha256")),
    )
    op.create_index(op.f("ix_user_certificates_user_id"), "user_certificates", ["user_id"], unique=False)
    op.create_table(
        "waiting_appliances",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("key_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("software", sa.Text(), nullable=False),
        sa.Column("address", sa.String(length=128), nullable=False),
        sa.Column("first_seen_at", sa.Double(), nullable=False),
        sa.Column("last_seen_at", sa.Double(), nullable=False),
        sa.Column("appliance_id", sa.String(length=128), nullable=True),
        sa.ForeignKeyConstraint(
            ["appliance_id"], ["appliances.id"], name=op.f("fk_waiting_appliances_appliance_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting_appliances")),
        sa.UniqueConstraint("appliance_id", name=op.f("uq_waiting_appliances_appliance_id")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_waiting_appliances_key_sha256")),
    )
    op.create_table(
        "grants",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("domain_id", sa.String(length=128), nullable=True),
        sa.Column("appliance_id", sa.String(length=128), nullable=True),
        sa.Column("device_id", sa.String(length=128), nullable=True),
        sa.Column("all_services", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("valid_from", sa.Double(), nullable=True),
        sa.Column("valid_until", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "(CASE WHEN domain_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN appliance_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN device_id IS NULL THEN 0 ELSE 1 END) = 1",
            name=op.f("ck_grants_one_target"),
        ),
        sa.CheckConstraint(
            "valid_from IS NULL OR valid_until IS NULL OR valid_from < valid_until", name=op.f("ck_grants_times")
        ),
        sa.ForeignKeyConstraint(
            ["appliance_id"], ["appliances.id"], name=op.f("fk_grants_appliance_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_grants_device_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name=op.f("fk_grants_domain_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_grants_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
    )
    op.create_index(op.f("ix_grants_appliance_id"), "grants", ["appliance_id"], unique=False)
    op.create_index(op.f("ix_grants_device_id"), "grants", ["device_id"], unique=False)
    op.create_index(op.f("ix_grants_domain_id"), "grants", ["domain_id"], unique=False)
    op.create_index(op.f("ix_grants_user_id"), "grants", ["user_id"], unique=False)
    op.create_table(
        "services",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("device_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("protocol", sa.String(length=8), nullable=False),
        sa.Column("first_port", sa.Integer(), nullable=False),
        sa.Column("last_port", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(protocol IN ('tcp', 'udp') AND first_port BETWEEN 1 AND 65535 AND last_port BETWEEN first_port AND 65535) OR (protocol = 'icmp' AND first_port = 0 AND last_port = 0)",
            name=op.f("ck_services_ports"),
        ),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_services_device_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_services")),
        sa.UniqueConstraint(
            "device_id", "name", "protocol", "first_port", name=op.f("uq_services_device_id_name_protocol_first_port")
        ),
    )
    op.create_table(
        "grant_services",
        sa.Column("grant_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["grants.id"], name=op.f("fk_grant_services_grant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("grant_id", "name", name=op.f("pk_grant_services")),
    )
