-- Runs of many: previews and their lists, saved scopes, protected accounts, the bucket. Plans and runs are made anew,
-- and those of before are dropped: nothing was released, and their digests could not be computed any more.
-- Times are UTC epoch milliseconds, 0 = none; lists and maps are JSON. Text keys are collated "C", so that order and
-- ranges are those of SQLite.

-- +goose Up
drop table run_token;
drop table run_target;
drop table run;
drop table plan_target;
drop table plan;

create table preview (
    id           text collate "C" primary key,
    parent       text collate "C" not null,
    cloud        text collate "C" not null,
    tenant       text collate "C" not null,
    creator_oid  text collate "C" not null,
    creator_tid  text collate "C" not null,
    creator_upn  text collate "C" not null,
    creator_name text collate "C" not null,
    scope        text collate "C" not null,
    options      text collate "C" not null,
    state        text collate "C" not null,
    doing        text collate "C" not null,
    failure      text collate "C" not null,
    found        bigint           not null,
    created_at   bigint           not null,
    beat_at      bigint           not null,
    ready_at     bigint           not null,
    expires_at   bigint           not null,
    total        bigint           not null,
    left_out     bigint           not null,
    list_digest  text collate "C" not null,
    counts       text collate "C" not null,
    left_counts  text collate "C" not null,
    facts        text collate "C" not null,
    run          text collate "C" not null,
    freezing     bigint           not null -- how many times its list was begun; 0 = people may still be added
);

create index preview_creator on preview (creator_oid, run, id);
create index preview_state on preview (state, beat_at);

-- People whom an expansion has found so far. place is rank and UPN: where they will stand in the list.
create table preview_candidate (
    preview   text collate "C" not null references preview (id),
    oid       text collate "C" not null,
    place     text collate "C" not null,
    upn       text collate "C" not null,
    name      text collate "C" not null,
    reasons   text collate "C" not null,
    flags     text collate "C" not null,
    verdict   text collate "C" not null,
    because   text collate "C" not null,
    before_at bigint           not null,
    included  boolean          not null,
    excluded  boolean          not null,
    inside    boolean          not null,
    hits      bigint           not null,
    primary key (preview, oid)
);

create index preview_candidate_place on preview_candidate (preview, place, oid);

-- People who were left out of a preview's list, and why.
create table preview_left (
    list      text collate "C" not null references preview (id),
    pos       bigint           not null,
    oid       text collate "C" not null,
    upn       text collate "C" not null,
    name      text collate "C" not null,
    reasons   text collate "C" not null,
    flags     text collate "C" not null,
    verdict   text collate "C" not null,
    because   text collate "C" not null,
    before_at bigint           not null,
    folded    text collate "C" not null,
    cause     text collate "C" not null,
    primary key (list, pos)
);

-- What a page is filtered by, so that a rare word is found without reading the wide rows.
create index preview_left_find on preview_left (list, pos) include (cause, verdict, flags, folded);

-- list is whose the targets are: a preview's id, or the plan's own.
create table plan (
    id           text collate "C" primary key,
    list         text collate "C" not null unique,
    cloud        text collate "C" not null,
    tenant       text collate "C" not null,
    creator_oid  text collate "C" not null,
    creator_tid  text collate "C" not null,
    creator_upn  text collate "C" not null,
    creator_name text collate "C" not null,
    scope        text collate "C" not null,
    options      text collate "C" not null,
    checklist    text collate "C" not null,
    incomplete   text collate "C" not null,
    reason       text collate "C" not null,
    ticket       text collate "C" not null,
    created_at   bigint           not null,
    expires_at   bigint           not null,
    total        bigint           not null,
    list_digest  text collate "C" not null,
    digest       text collate "C" not null
);

create table plan_target (
    list      text collate "C" not null,
    pos       bigint           not null,
    oid       text collate "C" not null,
    upn       text collate "C" not null,
    name      text collate "C" not null,
    reasons   text collate "C" not null,
    flags     text collate "C" not null,
    verdict   text collate "C" not null,
    because   text collate "C" not null,
    before_at bigint           not null,
    folded    text collate "C" not null,
    primary key (list, pos)
);

create unique index plan_target_oid on plan_target (list, oid);
create index plan_target_find on plan_target (list, pos) include (verdict, flags, folded);

create table run (
    id            text collate "C" primary key,
    plan          text collate "C" not null unique references plan (id),
    list          text collate "C" not null unique,
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
    parent        text collate "C" not null,
    wish          text collate "C" not null,
    next          bigint           not null,
    counts        text collate "C" not null,
    refused       bigint           not null,
    canary        boolean          not null,
    limited_by    text collate "C" not null,
    owner         text collate "C" not null,
    epoch         bigint           not null,
    lease_until   bigint           not null
);

create index run_due on run (state, due_at);
create index run_operator on run (operator_oid, id);
create index run_parent on run (parent, id);

-- A target of a run, from its first attempt on. Who it is stands in plan_target, under the run's list.
create table run_target (
    run               text collate "C" not null references run (id),
    pos               bigint           not null,
    oid               text collate "C" not null,
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
create index run_target_state on run_target (run, state, pos);

-- The operator's sealed token cache: it opens only with a seal key, and goes when the run ends.
create table run_token (
    run        text collate "C" primary key references run (id),
    sealed     bytea            not null,
    expires_at bigint           not null
);

-- The points of a run's chart.
create table run_sample (
    run       text collate "C" not null references run (id),
    at        bigint           not null,
    begun     bigint           not null,
    final     bigint           not null,
    confirmed bigint           not null,
    primary key (run, at)
);

-- The bucket of calls that all runs share, as JSON; '' is a full one.
create table quota (
    id    bigint           primary key check (id = 1),
    state text collate "C" not null
);

insert into quota (id, state) values (1, '');

create table scope (
    id         text collate "C" primary key,
    title      text collate "C" not null,
    owner_oid  text collate "C" not null,
    owner_tid  text collate "C" not null,
    owner_upn  text collate "C" not null,
    owner_name text collate "C" not null,
    sources    text collate "C" not null,
    options    text collate "C" not null,
    created_at bigint           not null,
    updated_at bigint           not null,
    version    bigint           not null
);

create table protected (
    oid     text collate "C" primary key,
    tid     text collate "C" not null,
    upn     text collate "C" not null,
    name    text collate "C" not null,
    kind    text collate "C" not null,
    note    text collate "C" not null,
    by_oid  text collate "C" not null,
    by_tid  text collate "C" not null,
    by_upn  text collate "C" not null,
    by_name text collate "C" not null,
    since   bigint           not null
);

create trigger plan_no_change before update or delete or truncate on plan
    for each statement execute function plan_refuse();

-- The list of a preview grows only while it expands, and goes only while no plan refers to it. That of a plan with
-- targets of its own is filled once.
-- +goose StatementBegin
create function list_grows() returns trigger language plpgsql as $$
declare
    lists text[] := array(select distinct list from changed);
begin
    if exists (select 1 from preview where id = any (lists) and state <> 'expanding')
        or exists (select 1 from plan p where list = any (lists)
            and (id <> list or total <= (select max(pos) from changed c where c.list = p.list))) then
        raise exception 'a plan never changes';
    end if;
    return null;
end;
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function list_goes() returns trigger language plpgsql as $$
declare
    lists text[] := array(select distinct list from changed);
begin
    if exists (select 1 from plan where list = any (lists)) then
        raise exception 'a plan never changes';
    end if;
    return null;
end;
$$;
-- +goose StatementEnd

create trigger plan_target_no_change before update or truncate on plan_target
    for each statement execute function plan_refuse();

create trigger plan_target_no_insert after insert on plan_target referencing new table as changed
    for each statement execute function list_grows();

create trigger plan_target_no_delete after delete on plan_target referencing old table as changed
    for each statement execute function list_goes();

create trigger preview_left_no_change before update or truncate on preview_left
    for each statement execute function plan_refuse();

create trigger preview_left_no_insert after insert on preview_left referencing new table as changed
    for each statement execute function list_grows();

create trigger preview_left_no_delete after delete on preview_left referencing old table as changed
    for each statement execute function list_goes();
