-- The store of the gateway, version 1. Ids are the order of arrival; a cursor per upstream says how far it came, so
-- that publishing costs one small row a batch, not one write a reading.

-- What we know of a key context. window: firmware.wire.host.window, packed. recovered: PIVs (4 bytes each, big endian) that
-- came by a repeat and still lie within the window. The counts are of frames and readings accepted since the first day.
CREATE TABLE context (
  kid        BLOB PRIMARY KEY,
  window     BLOB NOT NULL,
  recovered  BLOB NOT NULL,
  duplicates INTEGER NOT NULL,
  stored     INTEGER NOT NULL,
  direct     INTEGER NOT NULL,
  repeats    INTEGER NOT NULL
) WITHOUT ROWID;

-- Errors and other events by name, for ever.
CREATE TABLE counter (
  name TEXT PRIMARY KEY,
  n    INTEGER NOT NULL
) WITHOUT ROWID;

-- The last numbers of each serial link with the tag of their frame: tells a resend of the link from a repetition on air.
CREATE TABLE link (
  board TEXT PRIMARY KEY,
  seen  BLOB NOT NULL
) WITHOUT ROWID;

-- Readings, in the order of arrival. entry: 0 the newest of its frame, 1 the one before ... kind: 0 direct; 1 repeat, it
-- came inside a later frame; 2 fills, the frame itself came after its repeat, so this is no new reading but a fuller one;
-- 3 opaque, a frame that is authentic but not understood. unix_ms: when it was taken. heard_ms: when the reception of its
-- frame ended. payload: CBOR map, keys as on the wire; null where opaque. frame: as it came, in the row of its newest entry
-- alone, null where that is another frame's.
-- Each (kid, piv, entry) comes once per kind: the windows see to it, and an index would cost as much as the rows.
CREATE TABLE reading (
  id       INTEGER PRIMARY KEY,
  kid      BLOB NOT NULL,
  piv      INTEGER NOT NULL,
  entry    INTEGER NOT NULL,
  kind     INTEGER NOT NULL,
  unix_ms  INTEGER NOT NULL,
  heard_ms INTEGER NOT NULL,
  rssi_dbm INTEGER,
  snr_x4   INTEGER,
  channel  TEXT NOT NULL,
  payload  BLOB,
  frame    BLOB
);

-- The same, heard before the clock was set: unix_ms and heard_ms are still on the monotonic clock of that boot. They move to
-- `reading` when the clock is set during the same boot, and wait until then.
CREATE TABLE undated (
  id       INTEGER PRIMARY KEY,
  boot     TEXT NOT NULL,
  kid      BLOB NOT NULL,
  piv      INTEGER NOT NULL,
  entry    INTEGER NOT NULL,
  kind     INTEGER NOT NULL,
  mono_ms  INTEGER NOT NULL,
  heard_ms INTEGER NOT NULL,
  rssi_dbm INTEGER,
  snr_x4   INTEGER,
  channel  TEXT NOT NULL,
  payload  BLOB,
  frame    BLOB
);

-- How far each upstream came: every row up to `handed` was given to the broker at least once, every row up to `acked`
-- was acknowledged by it. batch: number of the last batch.
CREATE TABLE upstream (
  name   TEXT PRIMARY KEY,
  handed INTEGER NOT NULL,
  acked  INTEGER NOT NULL,
  batch  INTEGER NOT NULL
) WITHOUT ROWID;

-- What each upstream acknowledged, and what was handed over again after a cut.
CREATE TABLE delivery (
  upstream       TEXT NOT NULL,
  kid            BLOB NOT NULL,
  frames         INTEGER NOT NULL,
  readings       INTEGER NOT NULL,
  frames_again   INTEGER NOT NULL,
  readings_again INTEGER NOT NULL,
  PRIMARY KEY (upstream, kid)
) WITHOUT ROWID;
