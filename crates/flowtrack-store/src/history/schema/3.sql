-- Capture files that were read into this history, so that none is counted twice.
CREATE TABLE imports (
    import      INTEGER PRIMARY KEY,
    run         INTEGER NOT NULL,
    -- NULL where it could not be read twice, as of standard input.
    fingerprint TEXT,
    name        TEXT    NOT NULL,
    begun_us    INTEGER NOT NULL,
    -- NULL until all of it is kept.
    done_us     INTEGER
);
CREATE INDEX imports_fingerprint ON imports (fingerprint);

-- Sums and alerts as they were before an import that is not done touched them; of those that were
-- not there, only the key.
CREATE TABLE before_rates (
    step            INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    packets         INTEGER,
    bytes           INTEGER,
    flows_new       INTEGER,
    flows_ended     INTEGER,
    tcp_segments    INTEGER,
    retransmissions INTEGER,
    out_of_order    INTEGER,
    lost            INTEGER,
    rtt             BLOB,
    response        BLOB,
    shares          TEXT,
    PRIMARY KEY (step, at)
) WITHOUT ROWID;

CREATE TABLE before_alerts (
    key            INTEGER PRIMARY KEY,
    changed        INTEGER,
    kind           TEXT,
    gid            INTEGER,
    sid            INTEGER,
    name           TEXT,
    severity       INTEGER,
    category       TEXT,
    technique_id   TEXT,
    technique_name TEXT,
    title          TEXT,
    explanation    TEXT,
    src_ip         BLOB,
    dest_ip        BLOB,
    dest_port      INTEGER,
    proto          TEXT,
    first_us       INTEGER,
    last_us        INTEGER,
    count          INTEGER,
    occurrences    INTEGER,
    many           INTEGER,
    evidence       TEXT,
    flows          TEXT,
    source_proved  INTEGER,
    state          TEXT,
    muted_by       INTEGER,
    reopened       INTEGER,
    note           TEXT
);
