// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

namespace desk::local {

/// Times are microseconds since the epoch; folders are relative to the objects folder.
inline constexpr const char* kStoreSchema = R"(
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS jobs(
  id TEXT PRIMARY KEY, display_name TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL,
  base_model TEXT NOT NULL, lora_rank INTEGER NOT NULL, learning_rate REAL,
  max_context INTEGER, created INTEGER NOT NULL, completed INTEGER, created_by TEXT NOT NULL,
  hot_load_deployment TEXT NOT NULL, deleted INTEGER, details TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE IF NOT EXISTS checkpoints(
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, id TEXT NOT NULL, space TEXT NOT NULL,
  type TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, expires INTEGER,
  promotable INTEGER NOT NULL, parent TEXT NOT NULL, step INTEGER, size INTEGER, base_size INTEGER,
  changed REAL, folder TEXT NOT NULL, base_model TEXT NOT NULL,
  lora_rank INTEGER NOT NULL DEFAULT 0, run TEXT NOT NULL DEFAULT '',
  public INTEGER NOT NULL DEFAULT 0, metadata TEXT NOT NULL DEFAULT '',
  UNIQUE(job, space, id)) STRICT;
CREATE INDEX IF NOT EXISTS checkpoints_by_expiry ON checkpoints(expires);
CREATE INDEX IF NOT EXISTS checkpoints_by_id ON checkpoints(id);
CREATE TABLE IF NOT EXISTS models(
  id TEXT PRIMARY KEY, display_name TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
  base_model TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
  folder TEXT NOT NULL, promoted_from TEXT NOT NULL, is_base INTEGER NOT NULL,
  job TEXT NOT NULL, details TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE IF NOT EXISTS operations(
  id TEXT PRIMARY KEY, checkpoint TEXT NOT NULL, model TEXT NOT NULL, base_model TEXT NOT NULL,
  done INTEGER NOT NULL, message TEXT NOT NULL, error TEXT NOT NULL, error_code INTEGER NOT NULL,
  created INTEGER NOT NULL, updated INTEGER NOT NULL, UNIQUE(checkpoint, model)) STRICT;
CREATE TABLE IF NOT EXISTS deployments(
  id TEXT PRIMARY KEY, display_name TEXT NOT NULL, base_model TEXT NOT NULL, state TEXT NOT NULL,
  replica_count INTEGER NOT NULL, enables_hot_load INTEGER NOT NULL, trainer_job TEXT NOT NULL,
  description TEXT NOT NULL, created INTEGER NOT NULL, target_identity TEXT NOT NULL,
  target_folder TEXT NOT NULL, target_parent TEXT NOT NULL, target_serial INTEGER NOT NULL,
  details TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE IF NOT EXISTS replicas(
  deployment TEXT NOT NULL REFERENCES deployments(id) ON DELETE CASCADE, position INTEGER NOT NULL,
  pod TEXT NOT NULL, snapshot TEXT NOT NULL, folder TEXT NOT NULL, serial INTEGER NOT NULL,
  failed_target TEXT NOT NULL, error TEXT NOT NULL, seconds REAL,
  PRIMARY KEY(deployment, position)) STRICT;
CREATE TABLE IF NOT EXISTS sessions(
  id TEXT PRIMARY KEY, job TEXT NOT NULL, display_name TEXT NOT NULL, sdk TEXT NOT NULL,
  metadata TEXT NOT NULL, project TEXT NOT NULL, created INTEGER NOT NULL,
  last_seen INTEGER NOT NULL, ended TEXT NOT NULL, end_detail TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS runs(
  id TEXT PRIMARY KEY, session TEXT NOT NULL, job TEXT NOT NULL, base_model TEXT NOT NULL,
  lora_rank INTEGER NOT NULL, attention INTEGER NOT NULL, mlp INTEGER NOT NULL,
  unembed INTEGER NOT NULL, metadata TEXT NOT NULL, created INTEGER NOT NULL,
  last_request INTEGER NOT NULL, corrupted INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS loads(
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  deployment TEXT NOT NULL REFERENCES deployments(id) ON DELETE CASCADE, at INTEGER NOT NULL,
  identity TEXT NOT NULL, replica TEXT NOT NULL, delta INTEGER NOT NULL, error TEXT NOT NULL,
  seconds REAL) STRICT;
CREATE INDEX IF NOT EXISTS loads_by_deployment ON loads(deployment);
CREATE INDEX IF NOT EXISTS runs_by_session ON runs(session);
)";

/// What a store of schema 1 lacks; the tables above bring the rest.
inline constexpr const char* kStoreMigration2 = R"(
ALTER TABLE jobs ADD COLUMN details TEXT NOT NULL DEFAULT '';
ALTER TABLE checkpoints ADD COLUMN lora_rank INTEGER NOT NULL DEFAULT 0;
ALTER TABLE checkpoints ADD COLUMN run TEXT NOT NULL DEFAULT '';
ALTER TABLE checkpoints ADD COLUMN public INTEGER NOT NULL DEFAULT 0;
ALTER TABLE checkpoints ADD COLUMN metadata TEXT NOT NULL DEFAULT '';
ALTER TABLE models ADD COLUMN details TEXT NOT NULL DEFAULT '';
ALTER TABLE deployments ADD COLUMN details TEXT NOT NULL DEFAULT '';
)";

} // namespace desk::local
