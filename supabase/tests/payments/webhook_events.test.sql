-- Gateways' notices: stored once and raw, handed on once, never believed.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(36);

-- given two attempts at Kora and one at MTN
select tests.make_user('amina', 'fr', 'CM');
select tests.make_product('shoe', 1000);
select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.place_order('other', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('kora-1', 'order'));
select count(tests.begin_payment('kora-2', 'other'));
select count(tests.begin_payment('mtn-1', 'order', 'mtn_momo', '+237650000000', '{mtn}'));
update public.payments set gateway_transaction_id = 'KPY-1' where id = tests.id('kora-1');
update public.payments set gateway_transaction_id = 'KPY-2' where id = tests.id('kora-2');
delete from private.outbox;

create function tests.notice(
    dedupe_key text, payment_references text [], gateway text default 'kora',
    event_type text default 'charge.success', raw text default '{"é": 1}',
    headers jsonb default '{"x-test": "1"}', request_id text default 'req-1'
)
returns jsonb
language sql as $$
    select tests.as_service(format(
        'service.record_webhook_event(%L, %L, %L, %L, %L, %L, %L)', notice.gateway,
        notice.dedupe_key, notice.event_type, notice.payment_references, notice.raw,
        notice.headers, notice.request_id
    ))
$$;
create function tests.event(dedupe_key text, gateway text default 'kora')
returns private.webhook_events
language sql stable security definer as $$
    select e from private.webhook_events as e
    where e.gateway = event.gateway and e.dedupe_key = event.dedupe_key
$$;
create function tests.notice_outcome(dedupe_key text, gateway text default 'kora') returns text
language sql stable as $$
    select concat_ws(
        ' ', coalesce(n.name, 'no payment'), e.outcome,
        case when e.handled_at is null then 'open' else 'handled' end
    )
    from tests.event(notice_outcome.dedupe_key, notice_outcome.gateway) as e
    left join tests.names as n on e.payment_id = n.id
$$;

-- Stored once -------------------------------------------------------------------------------------

create table tests.first_answer as
select tests.notice('key-1', array[(tests.payment('kora-1')).reference]) as answer;
select is(
    (select f.answer from tests.first_answer as f),
    jsonb_build_object('event_id', (tests.event('key-1')).id, 'is_new', true),
    'a notice is stored'
);
select results_eq(
    $$ select e.gateway, e.event_type, e.payment_id, e.raw, e.headers, e.request_id, e.handled_at,
           e.outcome, e.received_at = now()
       from tests.event('key-1') as e $$,
    $$ values ('kora', 'charge.success', tests.id('kora-1'), '{"é": 1}',
           '{"x-test": "1"}'::jsonb, 'req-1', null::timestamptz, null, true) $$,
    'as it came, on the payment whose reference it has'
);
select results_eq(
    $$ select o.job, o.args, o.dedupe_key, o.available_at, o.request_id from private.outbox as o $$,
    $$ values ('handle_webhook', jsonb_build_object('event_id', (tests.event('key-1')).id),
           'handle_webhook/' || (tests.event('key-1')).id, now(), 'req-1') $$,
    'and handed on at once, under its request'
);
select is(
    (tests.payment('kora-1')).status::text, 'pending', 'its word alone changes no payment'
);
select tests.remember();
select is(
    tests.notice('key-1', array['elsewhere'], 'kora', 'charge.failed', 'other', '{}', 'req-2'),
    jsonb_build_object('event_id', (tests.event('key-1')).id, 'is_new', false),
    'the same key again is known'
);
select is(
    (select count(*) from generate_series(1, 48) as g
     where tests.notice('key-1', array[(tests.payment('kora-1')).reference]) ->> 'is_new' = 'true'),
    0::bigint,
    'however often it comes'
);
select tests.nothing_changed('and changes nothing');
select is(
    tests.notice('key-1', array[(tests.payment('mtn-1')).reference], 'mtn') -> 'is_new', 'true',
    'the same key of another gateway is another notice'
);

-- On which payment --------------------------------------------------------------------------------

select is(tests.notice(n.dedupe_key, n.refs, n.gateway) -> 'is_new', 'true', n.title)
from (
    values
    ('key-2', array['KPY-1'], 'kora', 'a notice may name the gateway''s own transaction'),
    ('key-3', array['KPY-1', (tests.payment('kora-1')).reference], 'kora', 'or both'),
    ('key-4', array['KPY-1'], 'mtn', 'a transaction of another gateway is not meant'),
    ('key-5', array['mg-unknown'], 'kora', 'a notice of an unknown reference is stored'),
    ('key-6', '{}', 'kora', 'one without a reference too'),
    ('key-7', null, 'kora', 'one without a list too'),
    ('key-8', array['KPY-1', 'KPY-2'], 'kora', 'one of two payments too')
) as n (dedupe_key, refs, gateway, title);
select is(tests.notice_outcome(n.dedupe_key, n.gateway), n.outcome, n.title)
from (
    values
    ('key-2', 'kora', 'kora-1 open', 'the transaction finds its payment'),
    ('key-3', 'kora', 'kora-1 open', 'two names of one payment are one'),
    ('key-4', 'mtn', 'no payment open', 'not at another gateway'),
    ('key-5', 'kora', 'no payment open', 'an unknown reference finds none'),
    ('key-6', 'kora', 'no payment open', 'no reference finds none'),
    ('key-7', 'kora', 'no payment open', 'no list finds none'),
    ('key-8', 'kora', 'no payment ambiguous_reference handled', 'two payments are none')
) as n (dedupe_key, gateway, outcome, title);
select results_eq(
    $$ select n.name, e.kind, e.detail, e.resolved_at
       from private.payment_exceptions as e
       inner join tests.names as n on e.payment_id = n.id
       order by n.name $$,
    $$ values
       ('kora-1', 'ambiguous_reference', (tests.event('key-8')).id::text, null::timestamptz),
       ('kora-2', 'ambiguous_reference', (tests.event('key-8')).id::text, null::timestamptz) $$,
    'both stand before a person'
);
select is(
    (select count(*) from private.outbox as o where o.job = 'handle_webhook'
     and o.args ->> 'event_id' = (tests.event('key-8')).id::text),
    0::bigint,
    'and nothing is applied of it'
);
select is(
    (select count(*) from private.outbox as o where o.job = 'handle_webhook'), 8::bigint,
    'the other eight are handed on, once each'
);
select is(tests.notice('key-9', array['KPY-1', 'KPY-2']) -> 'is_new', 'true',
    'a second notice of both is stored');
select is(
    (select count(*) from private.payment_exceptions as e
     where e.payment_id in (tests.id('kora-1'), tests.id('kora-2'))),
    2::bigint,
    'and they stand there once'
);

-- Working on it -----------------------------------------------------------------------------------

create function tests.begin_event(dedupe_key text) returns jsonb
language sql as $$
    select tests.as_service(format(
        'service.begin_webhook_event(%L)', (tests.event(begin_event.dedupe_key)).id
    ))
$$;
select is(
    tests.begin_event('key-1'),
    jsonb_build_object(
        'event_id', (tests.event('key-1')).id, 'gateway', 'kora', 'event_type', 'charge.success',
        'payment_id', tests.id('kora-1'), 'reference', (tests.payment('kora-1')).reference,
        'gateway_transaction_id', 'KPY-1', 'handled', false
    ),
    'a job learns which payment to ask about, not what the notice says'
);
select is(
    tests.begin_event('key-5') - 'event_id',
    '{"gateway": "kora", "event_type": "charge.success", "payment_id": null, "reference": null,
      "gateway_transaction_id": null, "handled": false}',
    'or that there is none'
);
select is(
    tests.as_service(format('service.begin_webhook_event(%L)', gen_random_uuid())), null,
    'an unknown notice is nothing'
);
select is(
    tests.as_service(format(
        'service.record_webhook_handled(%L, %L, %L)', (tests.event('key-1')).id, 'applied',
        repeat('x', 600)
    )),
    null,
    'a notice is handled'
);
select results_eq(
    $$ select e.handled_at, e.outcome, char_length(e.detail) from tests.event('key-1') as e $$,
    $$ values (now(), 'applied', 500) $$,
    'with its outcome and a detail of at most 500 characters'
);
select is(tests.begin_event('key-1') -> 'handled', 'true', 'as the next job learns');
select tests.remember();
select is(
    tests.as_service(format(
        'service.record_webhook_handled(%L, %L)', (tests.event('key-1')).id, 'unchanged'
    )),
    null,
    'handled again, it is taken'
);
select is(
    tests.as_service(format(
        'service.record_webhook_handled(%L, %L)', gen_random_uuid(), 'applied'
    )),
    null,
    'so is an unknown one'
);
select tests.nothing_changed('and nothing changes: the first outcome stays');

select * from finish();
rollback;
