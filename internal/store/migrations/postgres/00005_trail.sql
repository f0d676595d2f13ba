-- The ledger as evidence: its Merkle tree, its checkpoints, and what searches it by day and by word. The events that
-- are there already are added to the tree after the migration, by the program (see plant.go).

-- +goose Up
-- tree_size is how many events the tree holds, edge its right edge (audit.Tree). removed_through: retention removed the
-- bytes of events up to there, but for those of kind ledger.*; removing_through: it is recorded that it does so up to
-- there, and not done yet; 0: nothing is to be done.
alter table ledger_head
    add column tree_size bigint not null default 0,
    add column edge bytea not null default '',
    add column removed_through bigint not null default 0,
    add column removing_through bigint not null default 0;

-- next_seq gets another name, so that a program from before the tree, which may still run beside this schema, can append
-- nothing, and so calls nothing: its events would not be in the tree.
alter table ledger_head rename column next_seq to next_event;

-- Hashes of the tree, numbered as golang.org/x/mod/sumdb/tlog does.
create table ledger_hash (
    idx  bigint primary key,
    hash bytea  not null check (length(hash) = 32)
);

create table ledger_checkpoint (
    size  bigint primary key,
    at_ms bigint not null,
    note  text   not null
);

-- How many events of a kind a UTC day has, and which is the first and the last of them.
create table ledger_day (
    day       text collate "C" not null, -- YYYY-MM-DD
    kind      text collate "C" not null,
    events    bigint           not null,
    first_seq bigint           not null,
    last_seq  bigint           not null,
    primary key (day, kind)
);

-- Tickets and reasons, for free text. A text that an event has without a run is that event's alone: run_id is '' and
-- seq its number. All other rows are of a run as a whole: its first text has seq 0, any other one the number of the
-- event that brought it.
create table ledger_note (
    run_id text collate "C" not null,
    seq    bigint           not null,
    folded text collate "C" not null,
    primary key (run_id, seq)
);

create index ledger_event_ticket on ledger_event (ticket, seq) where ticket <> '';
create index ledger_event_outcome on ledger_event (outcome, seq) where outcome <> '';
create index ledger_event_plan on ledger_event (plan_id, seq) where plan_id <> '';
create index ledger_event_folded on ledger_event (seq) where (run_id = '' or kind = 'run.started') is true;

-- Retention may remove what a checkpoint seals, once the head says so.
drop trigger ledger_event_no_change on ledger_event;

create trigger ledger_event_no_change before update or truncate on ledger_event
    for each statement execute function ledger_refuse();

-- +goose StatementBegin
create function ledger_goes() returns trigger language plpgsql as $$
begin
    if exists (select 1 from changed where starts_with(kind, 'ledger.')
            or seq > (select removed_through from ledger_head where id = 1)) then
        raise exception 'the ledger is only ever appended to';
    end if;
    return null;
end;
$$;
-- +goose StatementEnd

create trigger ledger_event_no_delete after delete on ledger_event referencing old table as changed
    for each statement execute function ledger_goes();

-- +goose StatementBegin
create function ledger_hash_grows() returns trigger language plpgsql as $$
declare
    lowest bigint := (select min(idx) from changed);
begin
    if (select max(idx) from changed) - lowest + 1 <> (select count(*) from changed)
        or lowest < 0 or lowest > 0 and not exists (select 1 from ledger_hash where idx = lowest - 1) then
        raise exception 'the tree only ever grows, without a gap';
    end if;
    return null;
end;
$$;
-- +goose StatementEnd

create trigger ledger_hash_no_change before update or delete or truncate on ledger_hash
    for each statement execute function ledger_refuse();

create trigger ledger_hash_in_order after insert on ledger_hash referencing new table as changed
    for each statement execute function ledger_hash_grows();

create trigger ledger_checkpoint_no_change before update or delete or truncate on ledger_checkpoint
    for each statement execute function ledger_refuse();
