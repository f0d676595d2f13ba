-- Console sessions at rest. Sealed columns open only with the key in the cookie together with a seal key.

-- +goose Up
create table session (
    id_hash    bytea            primary key,
    oid        text collate "C" not null,
    tid        text collate "C" not null,
    sealed     bytea            not null,
    cache      bytea,
    issued_at  bigint           not null, -- of the ID token, on Entra's clock
    created_at bigint           not null,
    last_seen  bigint           not null,
    expires_at bigint           not null
);

create index session_oid on session (oid);
