-- The ledger: events, the next sequence number, and a dictionary of people for searching by name.
-- The body is the evidence. The other columns are an index of it and are never read back into an event.

-- +goose Up
create table ledger_event (
    seq          integer primary key,
    id           text    not null,
    at_ms        integer not null,
    kind         text    not null,
    operator_oid text    not null,
    target_oid   text    not null,
    run_id       text    not null,
    plan_id      text    not null,
    outcome      text    not null,
    ticket       text    not null,
    body         text    not null
) strict;

create index ledger_event_at on ledger_event (at_ms, seq);
create index ledger_event_kind on ledger_event (kind, seq);
create index ledger_event_operator on ledger_event (operator_oid, seq);
create index ledger_event_operator_kind on ledger_event (operator_oid, kind, seq);
create index ledger_event_target on ledger_event (target_oid, seq);
create index ledger_event_run on ledger_event (run_id, seq);

create table ledger_head (
    id       integer primary key check (id = 1),
    next_seq integer not null
) strict;

insert into ledger_head (id, next_seq) values (1, 1);

-- Every name that somebody had when an event was written, so that an old name still finds old events.
create table person (
    oid    text not null,
    upn    text not null,
    name   text not null,
    folded text not null,
    primary key (oid, upn, name)
) strict, without rowid;

-- +goose StatementBegin
create trigger ledger_event_no_update before update on ledger_event
begin
    select raise(abort, 'the ledger is only ever appended to');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger ledger_event_no_delete before delete on ledger_event
begin
    select raise(abort, 'the ledger is only ever appended to');
end;
-- +goose StatementEnd

-- "insert or replace" deletes without firing the delete trigger, so an insert may only continue the sequence.
-- +goose StatementBegin
create trigger ledger_event_in_order before insert on ledger_event
when new.seq is not (select coalesce(max(seq), 0) + 1 from ledger_event)
begin
    select raise(abort, 'the ledger is only ever appended to, without a gap');
end;
-- +goose StatementEnd
