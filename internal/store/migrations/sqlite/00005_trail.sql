-- The ledger as evidence: its Merkle tree, its checkpoints, and what searches it by day and by word. The events that
-- are there already are added to the tree after the migration, by the program (see plant.go).

-- +goose Up
-- tree_size is how many events the tree holds, edge its right edge (audit.Tree). removed_through: retention removed the
-- bytes of events up to there, but for those of kind ledger.*; removing_through: it is recorded that it does so up to
-- there, and not done yet; 0: nothing is to be done.
alter table ledger_head add column tree_size integer not null default 0;
alter table ledger_head add column edge blob not null default x'';
alter table ledger_head add column removed_through integer not null default 0;
alter table ledger_head add column removing_through integer not null default 0;

-- next_seq gets another name, so that a program from before the tree, which may still run beside this schema, can append
-- nothing, and so calls nothing: its events would not be in the tree.
alter table ledger_head rename column next_seq to next_event;

-- Hashes of the tree, numbered as golang.org/x/mod/sumdb/tlog does.
create table ledger_hash (
    idx  integer primary key,
    hash blob    not null check (length(hash) = 32)
) strict;

create table ledger_checkpoint (
    size  integer primary key,
    at_ms integer not null,
    note  text    not null
) strict;

-- How many events of a kind a UTC day has, and which is the first and the last of them.
create table ledger_day (
    day       text    not null, -- YYYY-MM-DD
    kind      text    not null,
    events    integer not null,
    first_seq integer not null,
    last_seq  integer not null,
    primary key (day, kind)
) strict, without rowid;

-- Tickets and reasons, for free text. A text that an event has without a run is that event's alone: run_id is '' and
-- seq its number. All other rows are of a run as a whole: its first text has seq 0, any other one the number of the
-- event that brought it.
create table ledger_note (
    run_id text    not null,
    seq    integer not null,
    folded text    not null,
    primary key (run_id, seq)
) strict, without rowid;

create index ledger_event_ticket on ledger_event (ticket, seq) where ticket <> '';
create index ledger_event_outcome on ledger_event (outcome, seq) where outcome <> '';
create index ledger_event_plan on ledger_event (plan_id, seq) where plan_id <> '';
create index ledger_event_folded on ledger_event (seq) where (run_id = '' or kind = 'run.started') is true;

-- Retention may remove what a checkpoint seals, once the head says so; the record of it comes after what was removed.
drop trigger ledger_event_no_delete;
-- +goose StatementBegin
create trigger ledger_event_no_delete before delete on ledger_event
when old.kind glob 'ledger.*' or old.seq > (select removed_through from ledger_head where id = 1)
begin
    select raise(abort, 'the ledger is only ever appended to');
end;
-- +goose StatementEnd

drop trigger ledger_event_in_order;
-- +goose StatementBegin
create trigger ledger_event_in_order before insert on ledger_event
when new.seq is not 1 + max((select coalesce(max(seq), 0) from ledger_event),
    (select removed_through from ledger_head where id = 1))
begin
    select raise(abort, 'the ledger is only ever appended to, without a gap');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger ledger_hash_no_update before update on ledger_hash
begin
    select raise(abort, 'the tree only ever grows');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger ledger_hash_no_delete before delete on ledger_hash
begin
    select raise(abort, 'the tree only ever grows');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger ledger_hash_in_order before insert on ledger_hash
when new.idx is not (select coalesce(max(idx), -1) + 1 from ledger_hash)
begin
    select raise(abort, 'the tree only ever grows, without a gap');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger ledger_checkpoint_no_update before update on ledger_checkpoint
begin
    select raise(abort, 'a checkpoint never changes');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger ledger_checkpoint_no_delete before delete on ledger_checkpoint
begin
    select raise(abort, 'a checkpoint never changes');
end;
-- +goose StatementEnd

-- "insert or replace" deletes without firing the delete trigger.
-- +goose StatementBegin
create trigger ledger_checkpoint_once before insert on ledger_checkpoint
when exists (select 1 from ledger_checkpoint where size = new.size)
begin
    select raise(abort, 'a checkpoint never changes');
end;
-- +goose StatementEnd
