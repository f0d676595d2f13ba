-- The ledger: events, the next sequence number, and a dictionary of people for searching by name.
-- The body is the evidence, as text: jsonb would reorder its keys. The other columns are an index of it and are never
-- read back into an event. Text keys are collated "C", so that order and ranges are those of SQLite.

-- +goose Up
create table ledger_event (
    seq          bigint             primary key,
    id           text collate "C"   not null,
    at_ms        bigint             not null,
    kind         text collate "C"   not null,
    operator_oid text collate "C"   not null,
    target_oid   text collate "C"   not null,
    run_id       text collate "C"   not null,
    plan_id      text collate "C"   not null,
    outcome      text collate "C"   not null,
    ticket       text collate "C"   not null,
    body         text               not null
);

create index ledger_event_at on ledger_event (at_ms, seq);
create index ledger_event_kind on ledger_event (kind, seq);
create index ledger_event_operator on ledger_event (operator_oid, seq);
create index ledger_event_operator_kind on ledger_event (operator_oid, kind, seq);
create index ledger_event_target on ledger_event (target_oid, seq);
create index ledger_event_run on ledger_event (run_id, seq);

create table ledger_head (
    id       bigint primary key check (id = 1),
    next_seq bigint not null
);

insert into ledger_head (id, next_seq) values (1, 1);

-- Every name that somebody had when an event was written, so that an old name still finds old events.
create table person (
    oid    text collate "C" not null,
    upn    text collate "C" not null,
    name   text collate "C" not null,
    folded text collate "C" not null,
    primary key (oid, upn, name)
);

-- +goose StatementBegin
create function ledger_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is only ever appended to';
end;
$$;
-- +goose StatementEnd

create trigger ledger_event_no_change before update or delete or truncate on ledger_event
    for each statement execute function ledger_refuse();
