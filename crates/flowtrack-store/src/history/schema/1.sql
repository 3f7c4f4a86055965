-- Addresses are blobs of 4 or 16 bytes, so that a network is a range.
-- Times are microseconds since the epoch, unless the column says seconds.

CREATE TABLE runs (
    run        INTEGER PRIMARY KEY,
    begun_us   INTEGER NOT NULL
);

CREATE TABLE flows (
    key             INTEGER PRIMARY KEY,
    run             INTEGER NOT NULL,
    id              INTEGER NOT NULL,
    src_ip          BLOB    NOT NULL,
    dest_ip         BLOB    NOT NULL,
    src_port        INTEGER NOT NULL,
    dest_port       INTEGER NOT NULL,
    -- Type and code of the first ICMP message, and identifier of an echo.
    icmp            INTEGER,
    icmp_id         INTEGER,
    proto           TEXT    NOT NULL,
    app_proto       TEXT,
    in_iface        TEXT,
    vlan            INTEGER,
    start_us        INTEGER NOT NULL,
    end_us          INTEGER NOT NULL,
    pkts_toserver   INTEGER NOT NULL,
    pkts_toclient   INTEGER NOT NULL,
    bytes_toserver  INTEGER NOT NULL,
    bytes_toclient  INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    -- NULL while the flow lives.
    reason          TEXT,
    conn_state      TEXT    NOT NULL,
    history         TEXT    NOT NULL,
    rtt_server_us   INTEGER,
    rtt_client_us   INTEGER,
    response_us     INTEGER,
    retransmissions INTEGER NOT NULL,
    out_of_order    INTEGER NOT NULL,
    lost            INTEGER NOT NULL,
    zero_windows    INTEGER NOT NULL,
    alerted         INTEGER NOT NULL,
    src_name        TEXT,
    dest_name       TEXT,
    info            TEXT
);
-- Rows come in the order of their ends, so this grows at one edge only.
CREATE INDEX flows_end ON flows (end_us);
-- Flows that a killed program left behind are found here; it holds only those that live.
CREATE INDEX flows_living ON flows (key) WHERE reason IS NULL;

-- The addresses among the flows of each full part, where part = key >> 14.
CREATE TABLE addresses (
    part INTEGER NOT NULL,
    addr BLOB    NOT NULL,
    PRIMARY KEY (part, addr)
) WITHOUT ROWID;

-- Sums per second (step 1) and minute (step 60).
CREATE TABLE rates (
    step            INTEGER NOT NULL,
    at              INTEGER NOT NULL, -- seconds since the epoch
    packets         INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    flows_new       INTEGER NOT NULL,
    flows_ended     INTEGER NOT NULL,
    tcp_segments    INTEGER NOT NULL,
    retransmissions INTEGER NOT NULL,
    out_of_order    INTEGER NOT NULL,
    lost            INTEGER NOT NULL,
    -- Histograms: for each bucket that is not empty its index (1 byte) and count (4 bytes, little
    -- endian).
    rtt             BLOB    NOT NULL,
    response        BLOB    NOT NULL,
    -- {"tls": [packets, bytes], ...}
    shares          TEXT    NOT NULL,
    PRIMARY KEY (step, at)
) WITHOUT ROWID;

CREATE TABLE transactions (
    key        INTEGER PRIMARY KEY,
    ts_us      INTEGER NOT NULL,
    run        INTEGER NOT NULL,
    flow       INTEGER NOT NULL,
    tx_id      INTEGER NOT NULL,
    src_ip     BLOB    NOT NULL,
    src_port   INTEGER NOT NULL,
    dest_ip    BLOB    NOT NULL,
    dest_port  INTEGER NOT NULL,
    protocol   TEXT    NOT NULL,
    event_type TEXT    NOT NULL,
    summary    TEXT    NOT NULL,
    -- JSON; NULL where it was too long to keep.
    record     TEXT
);
CREATE INDEX transactions_ts ON transactions (ts_us);
CREATE INDEX transactions_flow ON transactions (flow);

CREATE TABLE anomalies (
    key       INTEGER PRIMARY KEY,
    ts_us     INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    layer     TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    app_proto TEXT,
    packet    INTEGER NOT NULL,
    flow      INTEGER,
    src_ip    BLOB,
    src_port  INTEGER,
    dest_ip   BLOB,
    dest_port INTEGER
);
CREATE INDEX anomalies_ts ON anomalies (ts_us);
