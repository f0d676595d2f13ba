-- Console sessions at rest. Sealed columns open only with the key in the cookie together with a seal key.

-- +goose Up
create table session (
    id_hash    blob    not null primary key,
    oid        text    not null,
    tid        text    not null,
    sealed     blob    not null,
    cache      blob,
    issued_at  integer not null, -- of the ID token, on Entra's clock
    created_at integer not null,
    last_seen  integer not null,
    expires_at integer not null
) strict;

create index session_oid on session (oid);
