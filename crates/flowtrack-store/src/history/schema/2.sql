-- Alerts with all their repeats, and the mutes that hide some.
CREATE TABLE alerts (
    key            INTEGER PRIMARY KEY,
    -- Counts up with each write, so that whoever follows finds what is new.
    changed        INTEGER NOT NULL,
    kind           TEXT    NOT NULL,
    gid            INTEGER NOT NULL,
    sid            INTEGER NOT NULL,
    name           TEXT    NOT NULL,
    severity       INTEGER NOT NULL, -- 0 info to 4 critical
    category       TEXT    NOT NULL,
    technique_id   TEXT,
    technique_name TEXT,
    title          TEXT    NOT NULL,
    explanation    TEXT    NOT NULL,
    src_ip         BLOB,
    dest_ip        BLOB,
    dest_port      INTEGER,
    proto          TEXT,
    first_us       INTEGER NOT NULL,
    last_us        INTEGER NOT NULL,
    count          INTEGER NOT NULL,
    occurrences    INTEGER NOT NULL,
    many           INTEGER NOT NULL,
    evidence       TEXT    NOT NULL, -- [[name, value], ...]
    flows          TEXT    NOT NULL, -- [[run, number], ...]
    source_proved  INTEGER NOT NULL,
    state          TEXT    NOT NULL,
    muted_by       INTEGER,
    reopened       INTEGER NOT NULL,
    note           TEXT    NOT NULL
);
CREATE INDEX alerts_last ON alerts (last_us);
CREATE INDEX alerts_changed ON alerts (changed);

CREATE TABLE mutes (
    key        INTEGER PRIMARY KEY,
    rule       TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    port       TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    created_us INTEGER NOT NULL,
    until_us   INTEGER NOT NULL,
    hidden     INTEGER NOT NULL
);
