-- A database of GateManager 0.1.0 (revision 0001) with something in every table. Kept for ever: upgrades start here.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE appliances (
	id VARCHAR(128) NOT NULL, 
	domain_id VARCHAR(128) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	certificate BLOB, 
	certificate_sha256 BLOB, 
	key_sha256 BLOB, 
	software TEXT NOT NULL, 
	run_id VARCHAR(128), 
	created_at DOUBLE NOT NULL, 
	enrolled_at DOUBLE, 
	last_seen_at DOUBLE, 
	last_address VARCHAR(128), 
	last_port INTEGER, 
	CONSTRAINT pk_appliances PRIMARY KEY (id), 
	CONSTRAINT ck_appliances_active_has_certificate CHECK (state <> 'active' OR (certificate IS NOT NULL AND certificate_sha256 IS NOT NULL AND key_sha256 IS NOT NULL)), 
	CONSTRAINT ck_appliances_state CHECK (state IN ('expected', 'active', 'revoked')), 
	CONSTRAINT fk_appliances_domain_id FOREIGN KEY(domain_id) REFERENCES domains (id) ON DELETE RESTRICT, 
	CONSTRAINT uq_appliances_certificate_sha256 UNIQUE (certificate_sha256), 
	CONSTRAINT uq_appliances_domain_id_name UNIQUE (domain_id, name), 
	CONSTRAINT uq_appliances_key_sha256 UNIQUE (key_sha256)
);
INSERT INTO "appliances" VALUES('sm-1','dom-2','press1','active',X'636572742D31',X'D0F631CA1DDBA8DB3BCFCB9E057CDC98D0379F1BEE00E75A545147A27DADD982',X'6AB9F1EB8F7D3388F4F9D586F66E99FD54080DF2C446F0E58668B09C08A16DD0','sm 0.1.0','run-1',3.5,4.5,5.5,'192.0.2.1',11444);
INSERT INTO "appliances" VALUES('sm-2','dom-2','press2','expected',NULL,NULL,NULL,'',NULL,3.5,NULL,NULL,NULL,NULL);
INSERT INTO "appliances" VALUES('sm-3','dom-1','old','revoked',X'636572742D33',X'7C1C97DF17C066924822B0AF09A65251554962C61E23329AED04CD19020DC3B8',X'2F5052C9FD15B19A18C584D01363568198613F0C34E84409EF7938709A159EC2','sm 0.1.0','run-3',3.5,4.5,5.5,'2001:db8::1',443);
CREATE TABLE claims (
	id VARCHAR(128) NOT NULL, 
	appliance_id VARCHAR(128), 
	user_id VARCHAR(128), 
	proof_key BLOB, 
	created_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	used_at DOUBLE, 
	used_key_sha256 BLOB, 
	revoked_at DOUBLE, 
	CONSTRAINT pk_claims PRIMARY KEY (id), 
	CONSTRAINT ck_claims_one_owner CHECK ((appliance_id IS NULL) <> (user_id IS NULL)), 
	CONSTRAINT ck_claims_used_by CHECK ((used_at IS NULL) = (used_key_sha256 IS NULL)), 
	CONSTRAINT ck_claims_revoked_is_wiped CHECK (revoked_at IS NULL OR proof_key IS NULL), 
	CONSTRAINT fk_claims_appliance_id FOREIGN KEY(appliance_id) REFERENCES appliances (id) ON DELETE CASCADE, 
	CONSTRAINT fk_claims_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
INSERT INTO "claims" VALUES('clm-1','sm-2',NULL,X'C1CDA26362828B69266512052B97CB3729E3B052E4ADE47C0A1E3383DEFE73C7',12.5,9000000000.0,NULL,NULL,NULL);
INSERT INTO "claims" VALUES('clm-2',NULL,'usr-2',NULL,12.5,13.5,NULL,NULL,14.5);
INSERT INTO "claims" VALUES('clm-3','sm-1',NULL,NULL,12.5,9000000000.0,15.5,X'6AB9F1EB8F7D3388F4F9D586F66E99FD54080DF2C446F0E58668B09C08A16DD0',NULL);
CREATE TABLE devices (
	id VARCHAR(128) NOT NULL, 
	appliance_id VARCHAR(128) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	address VARCHAR(15) NOT NULL, 
	CONSTRAINT pk_devices PRIMARY KEY (id), 
	CONSTRAINT fk_devices_appliance_id FOREIGN KEY(appliance_id) REFERENCES appliances (id) ON DELETE CASCADE, 
	CONSTRAINT uq_devices_appliance_id_address UNIQUE (appliance_id, address), 
	CONSTRAINT uq_devices_appliance_id_name UNIQUE (appliance_id, name)
);
INSERT INTO "devices" VALUES('dev-1','sm-1','plc','192.168.1.10');
INSERT INTO "devices" VALUES('dev-2','sm-1','hmi','192.168.1.11');
CREATE TABLE domains (
	id VARCHAR(128) NOT NULL, 
	parent_id VARCHAR(128), 
	path VARCHAR(512) NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_domains PRIMARY KEY (id), 
	CONSTRAINT fk_domains_parent_id FOREIGN KEY(parent_id) REFERENCES domains (id) ON DELETE RESTRICT, 
	CONSTRAINT uq_domains_path UNIQUE (path)
);
INSERT INTO "domains" VALUES('dom-1',NULL,'acme',1.5);
INSERT INTO "domains" VALUES('dom-2','dom-1','acme/line3',2.5);
CREATE TABLE grant_services (
	grant_id VARCHAR(128) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_grant_services PRIMARY KEY (grant_id, name), 
	CONSTRAINT fk_grant_services_grant_id FOREIGN KEY(grant_id) REFERENCES grants (id) ON DELETE CASCADE
);
INSERT INTO "grant_services" VALUES('grt-2','modbus');
INSERT INTO "grant_services" VALUES('grt-2','ping');
CREATE TABLE grants (
	id VARCHAR(128) NOT NULL, 
	user_id VARCHAR(128) NOT NULL, 
	domain_id VARCHAR(128), 
	appliance_id VARCHAR(128), 
	device_id VARCHAR(128), 
	all_services BOOLEAN NOT NULL, 
	reason TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	valid_from DOUBLE, 
	valid_until DOUBLE, 
	revoked_at DOUBLE, 
	CONSTRAINT pk_grants PRIMARY KEY (id), 
	CONSTRAINT ck_grants_one_target CHECK ((CASE WHEN domain_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN appliance_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN device_id IS NULL THEN 0 ELSE 1 END) = 1), 
	CONSTRAINT ck_grants_times CHECK (valid_from IS NULL OR valid_until IS NULL OR valid_from < valid_until), 
	CONSTRAINT fk_grants_appliance_id FOREIGN KEY(appliance_id) REFERENCES appliances (id) ON DELETE CASCADE, 
	CONSTRAINT fk_grants_device_id FOREIGN KEY(device_id) REFERENCES devices (id) ON DELETE CASCADE, 
	CONSTRAINT fk_grants_domain_id FOREIGN KEY(domain_id) REFERENCES domains (id) ON DELETE CASCADE, 
	CONSTRAINT fk_grants_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
INSERT INTO "grants" VALUES('grt-1','usr-1',NULL,'sm-1',NULL,1,'service',18.5,NULL,NULL,NULL);
INSERT INTO "grants" VALUES('grt-2','usr-1',NULL,NULL,'dev-1',0,'',18.5,19.5,9000000000.0,NULL);
INSERT INTO "grants" VALUES('grt-3','usr-2','dom-1',NULL,NULL,1,'',18.5,NULL,NULL,20.5);
CREATE TABLE pin_alarms (
	id INTEGER NOT NULL, 
	reporter_id VARCHAR(128) NOT NULL, 
	reporter_name VARCHAR(640) NOT NULL, 
	address VARCHAR(255) NOT NULL, 
	port INTEGER NOT NULL, 
	proxy BOOLEAN NOT NULL, 
	serial VARCHAR(128) NOT NULL, 
	key_sha256 BLOB NOT NULL, 
	first_seen_at DOUBLE NOT NULL, 
	last_seen_at DOUBLE NOT NULL, 
	reported_at DOUBLE NOT NULL, 
	CONSTRAINT pk_pin_alarms PRIMARY KEY (id), 
	CONSTRAINT uq_pin_alarms_reporter_id_address_port_key_sha256 UNIQUE (reporter_id, address, port, key_sha256)
);
INSERT INTO "pin_alarms" VALUES(1,'sm-1','acme/line3/press1','gm.example.com',443,1,'AAAA-BBBB',X'5E94EC139442CFE98F5CDB0FFBB6DD081DE42949B11F8950A122C5D797598329',25.5,26.5,27.5);
CREATE TABLE services (
	id VARCHAR(128) NOT NULL, 
	device_id VARCHAR(128) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	protocol VARCHAR(8) NOT NULL, 
	first_port INTEGER NOT NULL, 
	last_port INTEGER NOT NULL, 
	CONSTRAINT pk_services PRIMARY KEY (id), 
	CONSTRAINT ck_services_ports CHECK ((protocol IN ('tcp', 'udp') AND first_port BETWEEN 1 AND 65535 AND last_port BETWEEN first_port AND 65535) OR (protocol = 'icmp' AND first_port = 0 AND last_port = 0)), 
	CONSTRAINT fk_services_device_id FOREIGN KEY(device_id) REFERENCES devices (id) ON DELETE CASCADE, 
	CONSTRAINT uq_services_device_id_name_protocol_first_port UNIQUE (device_id, name, protocol, first_port)
);
INSERT INTO "services" VALUES('svc-1','dev-1','modbus','tcp',502,502);
INSERT INTO "services" VALUES('svc-2','dev-1','ping','icmp',0,0);
INSERT INTO "services" VALUES('svc-3','dev-2','vnc','tcp',5900,5910);
CREATE TABLE sessions (
	id VARCHAR(128) NOT NULL, 
	user_id VARCHAR(128) NOT NULL, 
	user_name VARCHAR(128) NOT NULL, 
	appliance_id VARCHAR(128) NOT NULL, 
	appliance_path VARCHAR(640) NOT NULL, 
	devices TEXT NOT NULL, 
	address VARCHAR(128) NOT NULL, 
	reason TEXT NOT NULL, 
	tunnel_pc VARCHAR(15) NOT NULL, 
	requested_at DOUBLE NOT NULL, 
	joined_at DOUBLE, 
	ended_at DOUBLE, 
	end_code VARCHAR(128), 
	end_reason TEXT, 
	bytes_from_user BIGINT NOT NULL, 
	bytes_from_appliance BIGINT NOT NULL, 
	CONSTRAINT pk_sessions PRIMARY KEY (id)
);
INSERT INTO "sessions" VALUES('ses-1','usr-1','ada','sm-1','acme/line3/press1','plc','192.0.2.9','bearing','198.18.0.2',21.5,22.5,23.5,'ended-by-user','the user disconnected',1099511627776,77);
INSERT INTO "sessions" VALUES('ses-2','usr-9','gone','sm-9','acme/gone','','192.0.2.9','','198.18.0.6',21.5,NULL,NULL,NULL,NULL,0,0);
CREATE TABLE successions (
	id INTEGER NOT NULL, 
	old_key_sha256 BLOB NOT NULL, 
	new_certificate BLOB NOT NULL, 
	signature BLOB NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_successions PRIMARY KEY (id)
);
INSERT INTO "successions" VALUES(1,X'CBA06B5736FAF67E54B07B561EAE94395E774C517A7D910A54369E1263CCFBD4',X'6E65772D6365727469666963617465',X'7369676E6174757265',24.5);
CREATE TABLE user_certificates (
	id VARCHAR(128) NOT NULL, 
	user_id VARCHAR(128) NOT NULL, 
	certificate BLOB NOT NULL, 
	certificate_sha256 BLOB NOT NULL, 
	key_sha256 BLOB NOT NULL, 
	origin VARCHAR(16) NOT NULL, 
	software TEXT NOT NULL, 
	issued_at DOUBLE NOT NULL, 
	last_seen_at DOUBLE, 
	revoked_at DOUBLE, 
	CONSTRAINT pk_user_certificates PRIMARY KEY (id), 
	CONSTRAINT ck_user_certificates_origin CHECK (origin IN ('invitation', 'pkcs12')), 
	CONSTRAINT fk_user_certificates_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT uq_user_certificates_certificate_sha256 UNIQUE (certificate_sha256), 
	CONSTRAINT uq_user_certificates_key_sha256 UNIQUE (key_sha256)
);
INSERT INTO "user_certificates" VALUES('crt-1','usr-1',X'757365722D636572742D31',X'6222B7DAEA4BF2CBBE5C452ABE9B1271CB428E307CE36F8785D651EBC495832B',X'3FE38C7CF8F4DBD4D5F6A4F0C4DFDF431035570019BBD4B1DF99E11271140E6E','invitation','lm 0.1.0',9.5,10.5,NULL);
INSERT INTO "user_certificates" VALUES('crt-2','usr-1',X'757365722D636572742D32',X'07DC21A4DF2DC762BAFEDD4396A788D0813EBA79D96BAB91D825C5873EF7D2D0',X'38B45FFB7BDB2CC07E94C590E4257028D0CE1FC2EB5209AD467CF6C97644ACEB','pkcs12','',9.5,NULL,11.5);
CREATE TABLE users (
	id VARCHAR(128) NOT NULL, 
	domain_id VARCHAR(128) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	password_hash TEXT, 
	created_at DOUBLE NOT NULL, 
	disabled_at DOUBLE, 
	CONSTRAINT pk_users PRIMARY KEY (id), 
	CONSTRAINT fk_users_domain_id FOREIGN KEY(domain_id) REFERENCES domains (id) ON DELETE RESTRICT, 
	CONSTRAINT uq_users_name UNIQUE (name)
);
INSERT INTO "users" VALUES('usr-1','dom-1','ada','$argon2id$v=19$m=65536,t=3,p=4$YguqkLS36zJlUtgKOM+gIw$y3RR5XIMryWPhyO05CJkRCHd0jablrcOIvP8dzG8Myo',6.5,NULL);
INSERT INTO "users" VALUES('usr-2','dom-2','zoë ünal',NULL,7.5,8.5);
CREATE TABLE waiting_appliances (
	id VARCHAR(128) NOT NULL, 
	key_sha256 BLOB NOT NULL, 
	software TEXT NOT NULL, 
	address VARCHAR(128) NOT NULL, 
	first_seen_at DOUBLE NOT NULL, 
	last_seen_at DOUBLE NOT NULL, 
	appliance_id VARCHAR(128), 
	CONSTRAINT pk_waiting_appliances PRIMARY KEY (id), 
	CONSTRAINT fk_waiting_appliances_appliance_id FOREIGN KEY(appliance_id) REFERENCES appliances (id) ON DELETE CASCADE, 
	CONSTRAINT uq_waiting_appliances_appliance_id UNIQUE (appliance_id), 
	CONSTRAINT uq_waiting_appliances_key_sha256 UNIQUE (key_sha256)
);
INSERT INTO "waiting_appliances" VALUES('wai-1',X'60C5590F72EEF292F9545AFC28BF63CA91D2016A0A288F90F9A32F89D3FFFCAF','sm 0.1.0','198.51.100.7',16.5,17.5,NULL);
INSERT INTO "waiting_appliances" VALUES('wai-2',X'06F8FAEA3B5F697691B6D063A07BA4FFAF1ECE9A1D473C588565231CDC8E59CC','sm 0.1.0','198.51.100.8',16.5,17.5,'sm-2');
CREATE INDEX ix_domains_parent_id ON domains (parent_id);
CREATE INDEX ix_sessions_ended_at ON sessions (ended_at);
CREATE INDEX ix_sessions_requested_at ON sessions (requested_at);
CREATE INDEX ix_users_domain_id ON users (domain_id);
CREATE INDEX ix_claims_appliance_id ON claims (appliance_id);
CREATE INDEX ix_claims_user_id ON claims (user_id);
CREATE INDEX ix_user_certificates_user_id ON user_certificates (user_id);
CREATE INDEX ix_grants_appliance_id ON grants (appliance_id);
CREATE INDEX ix_grants_device_id ON grants (device_id);
CREATE INDEX ix_grants_domain_id ON grants (domain_id);
CREATE INDEX ix_grants_user_id ON grants (user_id);
COMMIT;
