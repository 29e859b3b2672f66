-- The pool's books, version 1. Plain SQL that PostgreSQL takes as it stands: whole numbers are BIGINT, yes and no are 0 and 1,
-- times are milliseconds since 1970, money is in atoms, hashes are hexadecimal as users see them.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE accounts (
    number BIGINT PRIMARY KEY,
    address TEXT NOT NULL UNIQUE,
    opened BIGINT NOT NULL,
    -- Sums over entries, kept beside them so that a balance is cheap; an audit computes them again.
    total BIGINT NOT NULL,
    immature BIGINT NOT NULL
);
CREATE INDEX accounts_by_mature ON accounts ((total - immature));

CREATE TABLE workers (
    number BIGINT PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES accounts (number),
    name TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    UNIQUE (account, name)
);

CREATE TABLE blocks (
    number BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    height BIGINT NOT NULL,
    reward BIGINT NOT NULL,
    fees BIGINT NOT NULL,
    work TEXT NOT NULL,
    finder BIGINT NOT NULL REFERENCES accounts (number),
    worker BIGINT NOT NULL,
    shares_end BIGINT NOT NULL,
    found BIGINT NOT NULL,
    state TEXT NOT NULL,
    split SMALLINT NOT NULL,
    bytes BYTEA NOT NULL
);
CREATE INDEX blocks_by_state ON blocks (state, split, number);

-- The journal. Rows are only ever added.
CREATE TABLE postings (
    number BIGINT PRIMARY KEY,
    cause TEXT NOT NULL UNIQUE,
    block TEXT REFERENCES blocks (id),
    booked BIGINT NOT NULL
);
CREATE INDEX postings_by_block ON postings (block);

CREATE TABLE entries (
    posting BIGINT NOT NULL REFERENCES postings (number),
    account BIGINT NOT NULL REFERENCES accounts (number),
    atoms BIGINT NOT NULL,
    PRIMARY KEY (posting, account)
);
CREATE INDEX entries_by_account ON entries (account);

CREATE TABLE payments (
    number BIGINT PRIMARY KEY,
    state TEXT NOT NULL,
    planned BIGINT NOT NULL,
    -- Of what was signed; all three or none.
    tx_id TEXT,
    raw BYTEA,
    fee BIGINT
);
CREATE INDEX payments_by_state ON payments (state, number);

CREATE TABLE payment_outputs (
    payment BIGINT NOT NULL REFERENCES payments (number),
    place BIGINT NOT NULL,
    account BIGINT NOT NULL REFERENCES accounts (number),
    address TEXT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (payment, place)
);

CREATE TABLE settlements (
    shares_from BIGINT PRIMARY KEY,
    shares_to BIGINT NOT NULL,
    scheme TEXT NOT NULL,
    subsidy BIGINT NOT NULL,
    mean_fees BIGINT NOT NULL,
    work TEXT NOT NULL,
    paid SMALLINT NOT NULL
);
CREATE INDEX settlements_by_paid ON settlements (paid, shares_from);

CREATE TABLE eras (
    number BIGINT PRIMARY KEY,
    shares_from BIGINT NOT NULL,
    scheme TEXT NOT NULL,
    pays TEXT NOT NULL,
    share_window TEXT NOT NULL,
    thousandths BIGINT,
    weighs SMALLINT NOT NULL,
    began BIGINT NOT NULL
);

CREATE TABLE bans (
    kind TEXT NOT NULL,
    who TEXT NOT NULL,
    ends BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (kind, who)
);

CREATE TABLE notes (
    number BIGINT PRIMARY KEY,
    written BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    reason TEXT NOT NULL
);
