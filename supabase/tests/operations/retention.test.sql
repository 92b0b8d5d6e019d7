-- What is forgotten and when: keys after 30 days, done work after 7 and dead work after 90, bodies
-- of notices after 180, searches after 90, buckets after one.
begin;
\ir ../_helpers.psql
select plan(20);

-- given nothing else of these, and of each a row just in time and one just too old
select tests.make_user('amina');
delete from private.idempotency_keys;
delete from private.outbox;
delete from private.webhook_events;
delete from private.searches;
delete from private.rate_limits;

insert into private.idempotency_keys (
    user_id, operation, idempotency_key, request_hash, response, created_at
)
select tests.id('amina'), 'place_order', k.key, '', '{}', now() - k.age
from (
    values ('key-young', interval '0'), ('key-30-days', '30 days'),
        ('key-older', '30 days 1 microsecond'), ('key-oldest', '10 years')
) as k (key, age);

insert into private.outbox (job, dedupe_key, created_at, done_at, failed_at)
select 'archive', o.key, '2000-01-01', now() - o.done, now() - o.failed
from (
    values
    ('open', null::interval, null::interval),
    ('done', '0', null), ('done-7-days', '7 days', null),
    ('done-older', '7 days 1 microsecond', null), ('done-oldest', '10 years', null),
    ('dead-8-days', null, '8 days'), ('dead-90-days', null, '90 days'),
    ('dead-older', null, '90 days 1 microsecond')
) as o (key, done, failed);

insert into private.webhook_events (
    gateway, dedupe_key, event_type, raw, headers, received_at, handled_at, outcome
)
select 'kora', e.key, 'charge.success', '{"phone": "+237650000000"}', '{"x": "y"}', '2000-01-01',
    now() - e.handled, case when e.handled is not null then 'applied' end
from (
    values ('open', null::interval), ('handled', '0'), ('handled-180-days', '180 days'),
        ('handled-older', '180 days 1 microsecond'), ('handled-oldest', '10 years')
) as e (key, handled);

insert into private.searches (query, language, results, created_at)
values ('young', 'en', 0, now() - interval '90 days'),
('older', 'en', 0, now() - interval '90 days 1 microsecond'),
('oldest', 'fr', 3, now() - interval '10 years');
insert into private.query_embeddings (query, embedding, model, embedded_at)
select q.query, ('[' || repeat('0,', 383) || '1]')::extensions.halfvec(384), 'model', q.embedded_at
from (
    values ('young', now() - interval '90 days'),
        ('older', now() - interval '90 days 1 microsecond')
) as q (query, embedded_at);

insert into private.rate_limits (action, subject, tokens, refilled_at)
values
('login', 'ip:1', 1, now() - interval '1 day'),
('login', 'ip:2', 1, now() - interval '1 day 1 microsecond');

create function tests.kept() returns text
language sql stable as $$
    select concat_ws(
        '; ',
        (select string_agg(k.idempotency_key, ' ' order by k.created_at desc)
         from private.idempotency_keys as k),
        (select string_agg(o.dedupe_key, ' ' order by coalesce(o.done_at, o.failed_at) desc)
         from private.outbox as o),
        (select string_agg(e.dedupe_key || case when e.raw = '' then '*' else '' end, ' '
             order by e.handled_at desc)
         from private.webhook_events as e),
        (select string_agg(s.query, ' ' order by s.created_at desc) from private.searches as s),
        (select string_agg(l.subject, ' ' order by l.subject) from private.rate_limits as l)
    )
$$;
create function tests.forget(batch integer) returns jsonb
language plpgsql as $$
declare
    v_answer jsonb;
begin
    perform tests.act_as_service();
    v_answer := service.apply_retention(batch);
    perform tests.act_as_owner();
    return v_answer;
end
$$;

-- In batches --------------------------------------------------------------------------------------

select is(
    tests.forget(0),
    '{"idempotency_keys": 0, "outbox": 0, "webhook_events": 0, "searches": 0, "rate_limits": 1}',
    'a batch of none forgets idle buckets only'
);
select is(
    tests.kept(),
    'key-young key-30-days key-older key-oldest; '
    'open done done-7-days done-older dead-8-days dead-90-days dead-older done-oldest; '
    'open handled handled-180-days handled-older handled-oldest; young older oldest; ip:1',
    'all else is there'
);
select is(
    tests.forget(1),
    '{"idempotency_keys": 1, "outbox": 1, "webhook_events": 1, "searches": 1, "rate_limits": 0}',
    'a batch of one forgets one of each'
);
select is(
    tests.forget(100),
    '{"idempotency_keys": 1, "outbox": 2, "webhook_events": 1, "searches": 1, "rate_limits": 0}',
    'the next forgets the rest'
);
select is(
    tests.kept(),
    'key-young key-30-days; open done done-7-days dead-8-days dead-90-days; '
    'open handled handled-180-days handled-older* handled-oldest*; young; ip:1',
    'what is in time stays, and of notices the fact'
);
select results_eq(
    $$ select e.raw, e.headers, e.gateway, e.event_type, e.outcome, e.handled_at
       from private.webhook_events as e where e.dedupe_key = 'handled-older' $$,
    $$ values ('', '{}'::jsonb, 'kora', 'charge.success', 'applied',
           now() - interval '180 days 1 microsecond') $$,
    'an old notice has lost its body and headers, nothing else'
);
select tests.remember();
select is(
    tests.forget(100),
    '{"idempotency_keys": 0, "outbox": 0, "webhook_events": 0, "searches": 0, "rate_limits": 0}',
    'then there is nothing to forget'
);
select tests.nothing_changed('and nothing changes');

-- A key that is forgotten is new ------------------------------------------------------------------

select tests.make_product('shoe');
select tests.act_as('amina');
select lives_ok(
    $$ select public.place_order('key-oldest', 'ZA', tests.address('ZA'), null,
           jsonb_build_array(tests.item('shoe', 1))) $$,
    'a forgotten key places a new order'
);
select tests.refuses(
    $$ select public.place_order('key-30-days', 'ZA', tests.address('ZA'), null,
           jsonb_build_array(tests.item('shoe', 1))) $$,
    'PT409 idempotency_key_reused', 'one of 30 days is known still'
);

-- The books are never forgotten -------------------------------------------------------------------

select tests.act_as_owner();
select set_eq(
    $$ select distinct (regexp_matches(
           p.prosrc, '(?:delete from|update)\s+(private\.\w+|public\.\w+)', 'g'))[1]
       from pg_catalog.pg_proc as p
       where p.oid = 'service.apply_retention(integer)'::regprocedure $$,
    array[
        'private.idempotency_keys', 'private.outbox', 'private.webhook_events',
        'private.searches', 'private.query_embeddings', 'private.rate_limits'
    ],
    'retention touches six tables and no table of the shop'
);
select results_eq(
    $$select q.query from private.query_embeddings as q where q.model = 'model'$$,
    $$values ('young')$$, 'what a search meant is forgotten with it'
);

-- Ping --------------------------------------------------------------------------------------------

delete from private.outbox;
insert into private.outbox (job, available_at, done_at, failed_at)
values
('archive', now(), null, null), ('archive', '2000-01-01', null, null),
('archive', now() + interval '1 second', null, null), ('archive', '2000-01-01', now(), null),
('archive', '2000-01-01', null, now());
select tests.act_as_service();
select is(
    service.ping(), jsonb_build_object('now', now(), 'open_outbox', 2),
    'the database answers with its time and how many rows of work are due'
);

-- Who may -----------------------------------------------------------------------------------------

select tests.act_as_owner();
select set_eq(
    $$ select p.proname::text, r.role_name
       from pg_catalog.pg_proc as p
       cross join unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
           as r (role_name)
       where p.proname in ('apply_retention', 'check_invariants', 'ping')
           and p.pronamespace = 'service'::regnamespace
           and has_function_privilege(r.role_name, p.oid, 'execute') $$,
    $$ values ('apply_retention', 'mallgram_service'), ('check_invariants', 'mallgram_service'),
           ('ping', 'mallgram_service') $$,
    'all are for the service alone'
);
select tests.act_as_anon();
select tests.denies('select service.apply_retention(1)', 'anon forgets nothing');
select tests.denies('select service.ping()', 'and pings nothing');
select tests.act_as('amina');
select tests.denies('select service.apply_retention(1)', 'nor does a shopper');
select tests.denies('select service.ping()', 'who pings nothing either');
select tests.act_as_service_role();
select tests.denies('select service.apply_retention(1)', 'nor service_role');
select tests.denies('select service.ping()', 'which pings nothing either');

select * from finish();
rollback;
