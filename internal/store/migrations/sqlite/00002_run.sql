-- Plans, which never change, and their runs. Times are UTC epoch milliseconds, 0 = none; lists are JSON.

-- +goose Up
create table plan (
    id            text    not null primary key,
    cloud         text    not null,
    tenant        text    not null,
    creator_oid   text    not null,
    creator_tid   text    not null,
    creator_upn   text    not null,
    creator_name  text    not null,
    scope         text    not null,
    options       text    not null,
    excluded      text    not null,
    acknowledged  text    not null,
    incomplete    text    not null,
    reason        text    not null,
    ticket        text    not null,
    created_at    integer not null,
    expires_at    integer not null,
    digest        text    not null
) strict;

create table plan_target (
    plan      text    not null references plan (id),
    pos       integer not null,
    oid       text    not null,
    upn       text    not null,
    name      text    not null,
    reasons   text    not null,
    flags     text    not null,
    before_at integer not null,
    primary key (plan, pos)
) strict, without rowid;

create table run (
    id            text    not null primary key,
    plan          text    not null unique references plan (id),
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
    owner         text    not null,
    epoch         integer not null,
    lease_until   integer not null
) strict;

create index run_due on run (state, due_at);
create index run_operator on run (operator_oid, id);

create table run_target (
    run               text    not null references run (id),
    pos               integer not null,
    oid               text    not null,
    upn               text    not null,
    name              text    not null,
    reasons           text    not null,
    flags             text    not null,
    before_at         integer not null,
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

-- The operator's sealed token cache: it opens only with a seal key, and goes when the run ends.
create table run_token (
    run        text    not null primary key references run (id),
    sealed     blob    not null,
    expires_at integer not null
) strict;

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

-- +goose StatementBegin
create trigger plan_target_no_update before update on plan_target
begin
    select raise(abort, 'a plan never changes');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger plan_target_no_delete before delete on plan_target
begin
    select raise(abort, 'a plan never changes');
end;
-- +goose StatementEnd
