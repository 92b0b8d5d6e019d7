-- Gateways' notices: stored once and raw, handed on once, never believed.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(68);

-- given two attempts at Kora and one at MTN
select tests.make_user('amina', 'fr', 'CM');
select tests.make_product('shoe', 1000);
select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.place_order('other', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('kora-1', 'order'));
select count(tests.begin_payment('kora-2', 'other'));
select count(tests.begin_payment('mtn-1', 'order', 'mtn_momo', '+237650000000', '{mtn}'));
update public.payments set gateway_transaction_id = 'KPY-1', gateway_session = 'session-1'
where id = tests.id('kora-1');
insert into private.payment_tokens (payment_id, webhook_token, is_of_gateway)
values (tests.id('kora-1'), 'gateway-token', true);
update public.payments set gateway_transaction_id = 'KPY-2' where id = tests.id('kora-2');
delete from private.outbox;

create function tests.notice(
    dedupe_key text, payment_references text [], gateway text default 'kora',
    event_type text default 'charge.success', raw text default '{"é": 1}',
    headers jsonb default '{"x-test": "1"}', request_id text default 'req-1',
    webhook_token text default null, kind text default 'payment'
)
returns jsonb
language sql as $$
    select tests.as_service(format(
        'service.record_webhook_events(%L) -> 0', jsonb_build_array(jsonb_build_object(
            'gateway', notice.gateway, 'dedupe_key', notice.dedupe_key,
            'event_type', notice.event_type, 'payment_references', notice.payment_references,
            'raw', notice.raw, 'headers', notice.headers, 'request_id', notice.request_id,
            'webhook_token', notice.webhook_token, 'kind', notice.kind
        ))
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
    $$ select e.gateway, e.event_type, e.kind, e.payment_id, e.refund_id, e.raw, e.headers,
           e.request_id, e.handled_at, e.outcome, e.received_at = now()
       from tests.event('key-1') as e $$,
    $$ values ('kora', 'charge.success', 'payment', tests.id('kora-1'), null::uuid, '{"é": 1}',
           '{"x-test": "1"}'::jsonb, 'req-1', null::timestamptz, null, true) $$,
    'as it came, on the payment whose reference it has'
);
select results_eq(
    $$ select o.job, o.args, o.dedupe_key, o.available_at, o.request_id from private.outbox as o $$,
    $$ values ('handle_webhook', jsonb_build_object('event_id', (tests.event('key-1')).id),
           'handle_webhook/' || (tests.event('key-1')).id, now() - interval '1 hour', 'req-1') $$,
    'and handed on before every poll that is due, under its request'
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

-- given the token that the edge wrote into the address of kora-1's notices, and one of Kora's own
create table tests.tokens as
select t.webhook_token as ours
from private.payment_tokens as t
where t.payment_id = tests.id('kora-1') and not t.is_of_gateway;
select is(
    tests.notice(n.dedupe_key, n.refs, n.gateway, webhook_token => n.webhook_token) -> 'is_new',
    'true', n.title
)
from (
    values
    ('key-2', array['KPY-1'], 'kora', null, 'a notice may name the gateway''s own transaction'),
    ('key-3', array['KPY-1', (tests.payment('kora-1')).reference], 'kora', null, 'or both'),
    ('key-4', array['KPY-1'], 'mtn', null, 'a transaction of another gateway is not meant'),
    ('key-5', array['mg-unknown'], 'kora', null, 'a notice of an unknown reference is stored'),
    ('key-6', '{}', 'kora', null, 'one without a reference too'),
    ('key-7', null, 'kora', null, 'one without a list too'),
    ('key-8', array['KPY-1', 'KPY-2'], 'kora', null, 'one of two payments too'),
    ('key-s', array['session-1'], 'kora', null, 'a notice may name the gateway''s session'),
    ('key-t', '{}', 'kora', (select t.ours from tests.tokens as t), 'or be known by its address'),
    ('key-g', '{}', 'kora', 'gateway-token', 'or by the gateway''s own token'),
    ('key-a', array['KPY-1'], 'kora', (select t.ours from tests.tokens as t), 'or by both'),
    ('key-m', '{}', 'mtn', (select t.ours from tests.tokens as t),
        'the token of another gateway''s payment is not meant'),
    ('key-u', '{}', 'kora', 'unknown-token', 'an unknown token finds none'),
    ('key-d', array['KPY-2'], 'kora', (select t.ours from tests.tokens as t),
        'one whose token and reference are two payments'' is of both')
) as n (dedupe_key, refs, gateway, webhook_token, title);
select is(tests.notice_outcome(n.dedupe_key, n.gateway), n.outcome, n.title)
from (
    values
    ('key-2', 'kora', 'kora-1 open', 'the transaction finds its payment'),
    ('key-3', 'kora', 'kora-1 open', 'two names of one payment are one'),
    ('key-4', 'mtn', 'no payment open', 'not at another gateway'),
    ('key-5', 'kora', 'no payment open', 'an unknown reference finds none'),
    ('key-6', 'kora', 'no payment open', 'no reference finds none'),
    ('key-7', 'kora', 'no payment open', 'no list finds none'),
    ('key-8', 'kora', 'no payment ambiguous_reference handled', 'two payments are none'),
    ('key-s', 'kora', 'kora-1 open', 'the session finds its payment'),
    ('key-t', 'kora', 'kora-1 open', 'our token finds its payment'),
    ('key-g', 'kora', 'kora-1 open', 'so does the gateway''s'),
    ('key-a', 'kora', 'kora-1 open', 'both are one payment'),
    ('key-m', 'mtn', 'no payment open', 'at another gateway it finds none'),
    ('key-u', 'kora', 'no payment open', 'an unknown token finds no payment'),
    ('key-d', 'kora', 'no payment ambiguous_reference handled',
        'what leads to two payments leads to none')
) as n (dedupe_key, gateway, outcome, title);
select results_eq(
    $$ select n.name, e.kind, e.event_id, e.detail, e.resolved_at
       from private.payment_exceptions as e
       inner join tests.names as n on e.payment_id = n.id
       order by n.name $$,
    $$ values
       ('kora-1', 'ambiguous_reference', (tests.event('key-8')).id,
           'one notice names several payments', null::timestamptz),
       ('kora-2', 'ambiguous_reference', (tests.event('key-8')).id,
           'one notice names several payments', null) $$,
    'both stand before a person, with the notice'
);
select is(
    (select count(*) from private.outbox as o where o.job = 'handle_webhook'
     and o.args ->> 'event_id' in (
         (tests.event('key-8')).id::text, (tests.event('key-d')).id::text)),
    0::bigint,
    'and nothing is applied of it'
);
select is(
    (select count(*) from private.outbox as o where o.job = 'handle_webhook'), 14::bigint,
    'the other fourteen are handed on, once each'
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
        'kind', 'payment', 'payment_id', tests.id('kora-1'), 'refund_id', null,
        'reference', (tests.payment('kora-1')).reference, 'gateway_transaction_id', 'KPY-1',
        'gateway_session', 'session-1', 'amount', 8500.00, 'currency', 'XAF',
        'method', 'kora_checkout', 'started_at', now(), 'raw', '{"é": 1}', 'handled', false
    ),
    'a job learns which payment to ask about, and what the notice says'
);
select is(
    tests.begin_event('key-5') - 'event_id',
    jsonb_build_object(
        'gateway', 'kora', 'event_type', 'charge.success', 'kind', 'payment', 'payment_id', null,
        'refund_id', null, 'reference', null, 'gateway_transaction_id', null,
        'gateway_session', null, 'amount', null, 'currency', null, 'method', null,
        'started_at', null, 'raw', '{"é": 1}', 'handled', false
    ),
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

-- A notice that belongs to nobody -----------------------------------------------------------------
-- given an admin, and notices of every kind that no payment knows

select tests.make_admin('chioma');
delete from private.outbox;
select is(tests.notice('odd-' || k, array['mg-unknown'], kind => k) -> 'is_new', 'true',
    format('a notice of an unknown %s is stored', k))
from unnest(array['payment', 'refund', 'payout', 'other']) as k;
select is(
    (select count(*) from private.payment_exceptions as e where e.kind = 'unmatched_notice'),
    0::bigint, 'and nobody is asked before a job has looked for it'
);
select count(tests.as_service(format(
    'service.record_webhook_handled(%L, %L)', (tests.event('odd-' || k)).id, 'unmatched'
)))
from unnest(array['payment', 'refund', 'payout', 'other']) as k
cross join generate_series(1, 2);
select results_eq(
    $$ select v.dedupe_key, e.subject_id = v.id, e.gateway, e.payment_id, e.order_id, e.amount,
           e.currency, e.detail
       from private.payment_exceptions as e
       inner join private.webhook_events as v on e.event_id = v.id
       where e.kind = 'unmatched_notice' order by v.dedupe_key $$,
    $$ values
       ('odd-payment', true, 'kora', null::uuid, null::uuid, null::numeric, null,
           'kora speaks of a payment that is not known here'),
       ('odd-refund', true, 'kora', null, null, null, null,
           'kora speaks of a payment that is not known here') $$,
    'what may be money goes before a person, once; the rest is kept'
);
select is(
    (select count(*) from private.emails as e
     where e.user_id = tests.id('chioma') and e.template = 'exception_opened'),
    2::bigint, 'who is told by mail'
);

-- Of refunds --------------------------------------------------------------------------------------
-- given a refund of kora-2 that the gateway calls KPR-1

select count(tests.apply('kora-2', 'paid'));
select tests.name_it('refund', (tests.as_service(format(
    'service.begin_refund(%L, %L, 500, null, ''scratched'', ''refund-key'')', tests.id('chioma'),
    tests.id('kora-2')
)) ->> 'refund_id')::uuid);
update public.refunds set gateway_refund_id = 'KPR-1' where id = tests.id('refund');
create function tests.refund_reference() returns text
language sql stable security definer as $$
    select r.reference from public.refunds as r where r.id = tests.id('refund')
$$;
select is(
    tests.notice(n.dedupe_key, n.refs, n.gateway, kind => n.kind) -> 'is_new', 'true', n.title
)
from (
    values
    ('ref-1', array[tests.refund_reference()], 'kora', 'refund',
        'a notice may name a refund by our reference'),
    ('ref-2', array['KPR-1'], 'kora', 'refund', 'or by the gateway''s'),
    ('ref-3', array['KPR-1', 'KPY-2'], 'kora', 'refund', 'or with its payment'),
    ('ref-4', array['KPR-1'], 'kora', 'payout', 'or as the payout it went by'),
    ('ref-5', array['KPR-1'], 'kora', 'payment', 'one of a payment does not name refunds'),
    ('ref-6', array['KPR-1'], 'mtn', 'refund', 'nor does one of another gateway')
) as n (dedupe_key, refs, gateway, kind, title);
select results_eq(
    $$ select e.dedupe_key, n.name, r.name, e.kind
       from private.webhook_events as e
       left join tests.names as n on e.payment_id = n.id
       left join tests.names as r on e.refund_id = r.id
       where e.dedupe_key like 'ref-%' order by e.dedupe_key $$,
    $$ values
       ('ref-1', 'kora-2', 'refund', 'refund'), ('ref-2', 'kora-2', 'refund', 'refund'),
       ('ref-3', 'kora-2', 'refund', 'refund'), ('ref-4', 'kora-2', 'refund', 'payout'),
       ('ref-5', null, null, 'payment'), ('ref-6', null, null, 'refund') $$,
    'each is kept with the refund and its payment'
);
select is(
    tests.begin_event('ref-2') ->> 'refund_id', tests.id('refund')::text,
    'as the job learns'
);
select tests.violates(
    $$ select tests.notice('ref-7', '{}', kind => 'newsletter') $$,
    'webhook_events_kind_is_known', 'a notice of an odd kind is none'
);
select tests.act_as_owner();
select ok(
    (tests.notice('ref-8', '{}', raw => '{"pan": "4111 1111 1111 1111"}') ->> 'is_new')::boolean,
    'one with a card number keeps nobody''s notices out'
);
select tests.act_as_owner();
select is(
    (tests.event('ref-8')).raw, '{"pan": "… … … …"}', 'and is stored without it'
);
select tests.act_as_owner();

select * from finish();
rollback;
