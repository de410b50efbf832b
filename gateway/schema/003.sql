-- Version 3: one compact row an accepted frame. Windows, counts and link numbers are folds of these rows (gateway/fold.py), so
-- that a group of clean readings touches one page and nothing else. The rows of version 2 are moved by gateway/migrate.py.

-- Boots of the host whose rows have no date yet.
CREATE TABLE boot (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

-- Where frames come from: the board at the end of a line, or the gateway that sent them on.
CREATE TABLE channel (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

-- Accepted frames, in the order of arrival. A row becomes readings when it is sent.
-- kind: 0 plain; 1 fills, its newest entry was known by a repeat; 2 repeat, a reading alone, known by a repeat (only from
--   version 2); 3 opaque, authentic but not understood; 4 sealed, not read.
-- take: bit i is set when the entry i places before the newest is a reading that was not known before; 0 where it is not read.
-- urgent: 1 when it holds an alarm.
-- unix_ms: when the newest entry was taken; on the monotonic clock of `boot` while that is set. late_ms: from then to the end of
--   the frame's reception.
-- seq: its number on the serial line. payload: the plaintext as it was sealed; null: not read (of version 2: of this entry alone).
-- tag: AEAD tag (8 bytes), then the hop tag (4) where there was one; null: no frame of its own (only from version 2).
-- frame: as it came, only where it cannot be made again from keys, counter, payload and tag.
-- Each (kid, piv) comes once per kind: the windows see to it, and an index would cost as much as the rows.
CREATE TABLE uplink (
  id       INTEGER PRIMARY KEY,
  kid      BLOB NOT NULL,
  piv      INTEGER NOT NULL,
  kind     INTEGER NOT NULL,
  take     INTEGER NOT NULL,
  urgent   INTEGER NOT NULL,
  unix_ms  INTEGER NOT NULL,
  late_ms  INTEGER NOT NULL,
  boot     INTEGER,
  rssi_dbm INTEGER,
  snr_x4   INTEGER,
  channel  INTEGER NOT NULL,
  seq      INTEGER,
  payload  BLOB,
  tag      BLOB,
  frame    BLOB
);
-- Only alarms, and only what waits for a date, cost an index entry.
CREATE INDEX uplink_urgent ON uplink (id) WHERE urgent;
CREATE INDEX uplink_undated ON uplink (boot) WHERE boot IS NOT NULL;

-- folded: every context and every link contains the uplinks up to this id.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value
) WITHOUT ROWID;

-- upto: the row contains every uplink up to this id.
ALTER TABLE context ADD COLUMN upto INTEGER NOT NULL DEFAULT 0;
ALTER TABLE link ADD COLUMN upto INTEGER NOT NULL DEFAULT 0;

INSERT INTO channel (name) SELECT DISTINCT channel FROM reading UNION SELECT DISTINCT channel FROM undated;
INSERT INTO boot (name) SELECT DISTINCT boot FROM undated;
INSERT INTO uplink
  SELECT r.id, kid, piv, CASE kind WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE kind END, kind IN (0, 1), 0, unix_ms, heard_ms - unix_ms, NULL, rssi_dbm, snr_x4,
    c.id, NULL, payload, substr(frame, -8), frame
  FROM reading r JOIN channel c ON c.name = r.channel;
INSERT INTO uplink
  SELECT (SELECT coalesce(max(id), 0) FROM reading) + row_number() OVER (ORDER BY u.id), kid, piv, CASE kind WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE kind END, kind IN (0, 1),
    0, mono_ms, heard_ms - mono_ms, b.id, rssi_dbm, snr_x4, c.id, NULL, payload, substr(frame, -8), frame
  FROM undated u JOIN channel c ON c.name = u.channel JOIN boot b ON b.name = u.boot;
DROP TABLE reading;
DROP TABLE undated;
INSERT INTO meta VALUES ('folded', (SELECT coalesce(max(id), 0) FROM uplink));
UPDATE context SET upto = (SELECT value FROM meta WHERE name = 'folded');
UPDATE link SET upto = (SELECT value FROM meta WHERE name = 'folded');

-- How far each upstream came. done: rows that its broker acknowledged; handed: rows that left at least once; both sets of ids as
-- gateway/upstream/cursor.py packs them (of version 2, the last id, which gateway/migrate.py packs). batch: number of the last
-- batch. epoch: which file of marks goes on from here.
ALTER TABLE upstream RENAME TO upstream_2;
CREATE TABLE upstream (
  name   TEXT PRIMARY KEY,
  done   BLOB NOT NULL,
  handed BLOB NOT NULL,
  batch  INTEGER NOT NULL,
  epoch  BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO upstream SELECT name, acked, handed, batch, x'' FROM upstream_2;
DROP TABLE upstream_2;

-- What left the store without being acknowledged, by cause.
CREATE TABLE dropped (
  upstream TEXT NOT NULL,
  cause    TEXT NOT NULL,
  frames   INTEGER NOT NULL,
  readings INTEGER NOT NULL,
  PRIMARY KEY (upstream, cause)
) WITHOUT ROWID;

-- What a person has to know of: raised, and cleared after a quiet day. kid: x'' where it concerns none.
CREATE TABLE alarm (
  name     TEXT NOT NULL,
  kid      BLOB NOT NULL,
  since_ms INTEGER NOT NULL,
  last_ms  INTEGER NOT NULL,
  n        INTEGER NOT NULL,
  state    TEXT NOT NULL,
  PRIMARY KEY (name, kid)
) WITHOUT ROWID;
