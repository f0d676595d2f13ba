-- Runs of many: previews and their lists, saved scopes, protected accounts, the bucket. Plans and runs are made anew,
-- and those of before are dropped: nothing was released, and their digests could not be computed any more.
-- Times are UTC epoch milliseconds, 0 = none; lists and maps are JSON.

-- +goose Up
drop table run_token;
drop table run_target;
drop table run;
drop table plan_target;
drop table plan;

create table preview (
    id           text    not null primary key,
    parent       text    not null,
    cloud        text    not null,
    tenant       text    not null,
    creator_oid  text    not null,
    creator_tid  text    not null,
    creator_upn  text    not null,
    creator_name text    not null,
    scope        text    not null,
    options      text    not null,
    state        text    not null,
    doing        text    not null,
    failure      text    not null,
    found        integer not null,
    created_at   integer not null,
    beat_at      integer not null,
    ready_at     integer not null,
    expires_at   integer not null,
    total        integer not null,
    left_out     integer not null,
    list_digest  text    not null,
    counts       text    not null,
    left_counts  text    not null,
    facts        text    not null,
    run          text    not null,
    freezing     integer not null -- how many times its list was begun; 0 = people may still be added
) strict;

create index preview_creator on preview (creator_oid, run, id);
create index preview_state on preview (state, beat_at);

-- People whom an expansion has found so far. place is rank and UPN: where they will stand in the list.
create table preview_candidate (
    preview   text    not null references preview (id),
    oid       text    not null,
    place     text    not null,
    upn       text    not null,
    name      text    not null,
    reasons   text    not null,
    flags     text    not null,
    verdict   text    not null,
    because   text    not null,
    before_at integer not null,
    included  integer not null,
    excluded  integer not null,
    inside    integer not null,
    hits      integer not null,
    primary key (preview, oid)
) strict, without rowid;

create index preview_candidate_place on preview_candidate (preview, place, oid);

-- People who were left out of a preview's list, and why.
create table preview_left (
    list      text    not null references preview (id),
    pos       integer not null,
    oid       text    not null,
    upn       text    not null,
    name      text    not null,
    reasons   text    not null,
    flags     text    not null,
    verdict   text    not null,
    because   text    not null,
    before_at integer not null,
    folded    text    not null,
    cause     text    not null,
    primary key (list, pos)
) strict, without rowid;

-- What a page is filtered by, so that a rare word is found without reading the wide rows.
create index preview_left_find on preview_left (list, pos, cause, verdict, flags, folded);

-- list is whose the targets are: a preview's id, or the plan's own.
create table plan (
    id           text    not null primary key,
    list         text    not null unique,
    cloud        text    not null,
    tenant       text    not null,
    creator_oid  text    not null,
    creator_tid  text    not null,
    creator_upn  text    not null,
    creator_name text    not null,
    scope        text    not null,
    options      text    not null,
    checklist    text    not null,
    incomplete   text    not null,
    reason       text    not null,
    ticket       text    not null,
    created_at   integer not null,
    expires_at   integer not null,
    total        integer not null,
    list_digest  text    not null,
    digest       text    not null
) strict;

create table plan_target (
    list      text    not null,
    pos       integer not null,
    oid       text    not null,
    upn       text    not null,
    name      text    not null,
    reasons   text    not null,
    flags     text    not null,
    verdict   text    not null,
    because   text    not null,
    before_at integer not null,
    folded    text    not null,
    primary key (list, pos)
) strict, without rowid;

create unique index plan_target_oid on plan_target (list, oid);
create index plan_target_find on plan_target (list, pos, verdict, flags, folded);

create table run (
    id            text    not null primary key,
    plan          text    not null unique references plan (id),
    list          text    not null unique,
    digest        text    not null,
    cloud         text    not null,
    tenant        text    not null,
    state         text    not null,
    pause         text    not null,
    claims        text    not null,
    operator_oid  text    not null,
    operator_tid  text    not null,
    operator_upn  text    not null,
    operator_name text    not null,
    address       text    not null,
    roles         text    not null,
    reason        text    not null,
    ticket        text    not null,
    self          integer not null,
    total         integer not null,
    created_at    integer not null,
    finished_at   integer not null,
    due_at        integer not null,
    events        integer not null,
    parent        text    not null,
    wish          text    not null,
    next          integer not null,
    counts        text    not null,
    refused       integer not null,
    canary        integer not null,
    limited_by    text    not null,
    owner         text    not null,
    epoch         integer not null,
    lease_until   integer not null
) strict;

create index run_due on run (state, due_at);
create index run_operator on run (operator_oid, id);
create index run_parent on run (parent, id);

-- A target of a run, from its first attempt on. Who it is stands in plan_target, under the run's list.
create table run_target (
    run               text    not null references run (id),
    pos               integer not null,
    oid               text    not null,
    state             text    not null,
    attempt           integer not null,
    lost              integer not null,
    tries             integer not null,
    accepts           integer not null,
    reads             integer not null,
    due_at            integer not null,
    started_at        integer not null,
    read_from         integer not null,
    t0                integer not null,
    after_at          integer not null,
    answered          integer not null,
    status            integer not null,
    request_id        text    not null,
    client_request_id text    not null,
    code              text    not null,
    message           text    not null,
    settled           text    not null,
    updated_at        integer not null,
    primary key (run, pos)
) strict, without rowid;

create index run_target_oid on run_target (oid, run);
create index run_target_state on run_target (run, state, pos);

-- The operator's sealed token cache: it opens only with a seal key, and goes when the run ends.
create table run_token (
    run        text    not null primary key references run (id),
    sealed     blob    not null,
    expires_at integer not null
) strict;

-- The points of a run's chart.
create table run_sample (
    run       text    not null references run (id),
    at        integer not null,
    begun     integer not null,
    final     integer not null,
    confirmed integer not null,
    primary key (run, at)
) strict, without rowid;

-- The bucket of calls that all runs share, as JSON; '' is a full one.
create table quota (
    id    integer primary key check (id = 1),
    state text    not null
) strict;

insert into quota (id, state) values (1, '');

create table scope (
    id         text    not null primary key,
    title      text    not null,
    owner_oid  text    not null,
    owner_tid  text    not null,
    owner_upn  text    not null,
    owner_name text    not null,
    sources    text    not null,
    options    text    not null,
    created_at integer not null,
    updated_at integer not null,
    version    integer not null
) strict;

create table protected (
    oid     text    not null primary key,
    tid     text    not null,
    upn     text    not null,
    name    text    not null,
    kind    text    not null,
    note    text    not null,
    by_oid  text    not null,
    by_tid  text    not null,
    by_upn  text    not null,
    by_name text    not null,
    since   integer not null
) strict, without rowid;

-- +goose StatementBegin
create trigger plan_no_update before update on plan
begin
    select raise(abort, 'a plan never changes');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger plan_no_delete before delete on plan
begin
    select raise(abort, 'a plan never changes');
end;
-- +goose StatementEnd

-- The list of a preview grows only while it expands, and goes only while no plan refers to it. That of a plan with
-- targets of its own is filled once ("insert or replace" deletes without firing the delete trigger).
-- +goose StatementBegin
create trigger plan_target_no_insert before insert on plan_target
when exists (select 1 from preview where id = new.list and state <> 'expanding')
    or exists (select 1 from plan where list = new.list and (id <> list or new.pos >= total
        or exists (select 1 from plan_target where list = new.list and pos = new.pos)))
begin
    select raise(abort, 'a plan never changes');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger plan_target_no_update before update on plan_target
begin
    select raise(abort, 'a plan never changes');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger plan_target_no_delete before delete on plan_target
when exists (select 1 from plan where list = old.list)
begin
    select raise(abort, 'a plan never changes');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger preview_left_no_insert before insert on preview_left
when exists (select 1 from preview where id = new.list and state <> 'expanding')
begin
    select raise(abort, 'a plan never changes');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger preview_left_no_update before update on preview_left
begin
    select raise(abort, 'a plan never changes');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger preview_left_no_delete before delete on preview_left
when exists (select 1 from plan where list = old.list)
begin
    select raise(abort, 'a plan never changes');
end;
-- +goose StatementEnd
