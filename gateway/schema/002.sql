-- Version 2: commands to boards, and every answer that was ever sealed.

-- What a board is asked to do. payload: CBOR map of the answer's own keys, without time and id. state: waiting (for the board
-- to ask), sent (handed to a bridge, no result yet), done, refused (result: the board's error code, or none: note says why),
-- expired, cancelled. Times are unix ms. sent: how often it was handed over. note: what happened to it last.
CREATE TABLE command (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  board    TEXT NOT NULL,
  what     TEXT NOT NULL,
  payload  BLOB NOT NULL,
  state    TEXT NOT NULL,
  asked_ms INTEGER NOT NULL,
  until_ms INTEGER NOT NULL,
  sent     INTEGER NOT NULL DEFAULT 0,
  moved_ms INTEGER NOT NULL,
  result   INTEGER,
  note     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX command_open ON command (board, id) WHERE state IN ('waiting', 'sent');

-- The log of a controller: the one answer to an uplink, committed together with the uplink and before any bridge has it. It is
-- never deleted: for a PIV these bytes go out, or nothing. number: that of the message to the bridge. status: what the bridge said.
CREATE TABLE downlink (
  kid     BLOB NOT NULL,
  piv     INTEGER NOT NULL,
  frame   BLOB NOT NULL,
  number  INTEGER NOT NULL UNIQUE,
  command INTEGER,
  bridge  TEXT NOT NULL,
  made_ms INTEGER NOT NULL,
  status  TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (kid, piv)
) WITHOUT ROWID;

-- generation: how many answers were sealed; a file beside the store knows it too, so that a store of yesterday is found out.
CREATE TABLE controller (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  generation INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO controller VALUES (1, 0);

-- Key ids that may have been answered under in a past that this store does not know: no answer until they are changed.
CREATE TABLE unsafe (
  kid BLOB PRIMARY KEY
) WITHOUT ROWID;
