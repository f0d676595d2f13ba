-- Plans, which never change, and their runs. Times are UTC epoch milliseconds, 0 = none; lists are JSON. Text keys
-- are collated "C", so that order and ranges are those of SQLite.

-- +goose Up
create table plan (
    id            text collate "C" primary key,
    cloud         text collate "C" not null,
    tenant        text collate "C" not null,
    creator_oid   text collate "C" not null,
    creator_tid   text collate "C" not null,
    creator_upn   text collate "C" not null,
    creator_name  text collate "C" not null,
    scope         text collate "C" not null,
    options       text collate "C" not null,
    excluded      text collate "C" not null,
    acknowledged  text collate "C" not null,
    incomplete    text collate "C" not null,
    reason        text collate "C" not null,
    ticket        text collate "C" not null,
    created_at    bigint           not null,
    expires_at    bigint           not null,
    digest        text collate "C" not null
);

create table plan_target (
    plan      text collate "C" not null references plan (id),
    pos       bigint           not null,
    oid       text collate "C" not null,
    upn       text collate "C" not null,
    name      text collate "C" not null,
    reasons   text collate "C" not null,
    flags     text collate "C" not null,
    before_at bigint           not null,
    primary key (plan, pos)
);

create table run (
    id            text collate "C" primary key,
    plan          text collate "C" not null unique references plan (id),
    digest        text collate "C" not null,
    cloud         text collate "C" not null,
    tenant        text collate "C" not null,
    state         text collate "C" not null,
    pause         text collate "C" not null,
    claims        text collate "C" not null,
    operator_oid  text collate "C" not null,
    operator_tid  text collate "C" not null,
    operator_upn  text collate "C" not null,
    operator_name text collate "C" not null,
    address       text collate "C" not null,
    roles         text collate "C" not null,
    reason        text collate "C" not null,
    ticket        text collate "C" not null,
    self          boolean          not null,
    total         bigint           not null,
    created_at    bigint           not null,
    finished_at   bigint           not null,
    due_at        bigint           not null,
    events        bigint           not null,
    owner         text collate "C" not null,
    epoch         bigint           not null,
    lease_until   bigint           not null
);

create index run_due on run (state, due_at);
create index run_operator on run (operator_oid, id);

create table run_target (
    run               text collate "C" not null references run (id),
    pos               bigint           not null,
    oid               text collate "C" not null,
    upn               text collate "C" not null,
    name              text collate "C" not null,
    reasons           text collate "C" not null,
    flags             text collate "C" not null,
    before_at         bigint           not null,
    state             text collate "C" not null,
    attempt           bigint           not null,
    lost              boolean          not null,
    tries             bigint           not null,
    accepts           bigint           not null,
    reads             bigint           not null,
    due_at            bigint           not null,
    started_at        bigint           not null,
    read_from         bigint           not null,
    t0                bigint           not null,
    after_at          bigint           not null,
    answered          bigint           not null,
    status            bigint           not null,
    request_id        text collate "C" not null,
    client_request_id text collate "C" not null,
    code              text collate "C" not null,
    message           text collate "C" not null,
    settled           text collate "C" not null,
    updated_at        bigint           not null,
    primary key (run, pos)
);

create index run_target_oid on run_target (oid, run);

-- The operator's sealed token cache: it opens only with a seal key, and goes when the run ends.
create table run_token (
    run        text collate "C" primary key references run (id),
    sealed     bytea            not null,
    expires_at bigint           not null
);

-- +goose StatementBegin
create function plan_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'a plan never changes';
end;
$$;
-- +goose StatementEnd

create trigger plan_no_change before update or delete or truncate on plan
    for each statement execute function plan_refuse();

create trigger plan_target_no_change before update or delete or truncate on plan_target
    for each statement execute function plan_refuse();
