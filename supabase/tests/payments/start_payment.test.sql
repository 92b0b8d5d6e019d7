-- An attempt to pay: which gateway takes it, what is told to the edge, what is kept, and when a new
-- attempt begins.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(140);

-- given buyers in both countries
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_product('shoe', 1000);

-- Which gateway -----------------------------------------------------------------------------------

create function tests.route(
    country text, method text, phone text, gateways text [], excluded text []
)
returns text
language plpgsql as $$
declare
    v_name text := gen_random_uuid()::text;
    v_failure tests.failure;
    v_call text;
    v_answer text;
    v_order_id uuid := tests.place_order(
        v_name, 'amina', jsonb_build_array(tests.item('shoe', 1)), route.country
    );
begin
    v_call := tests.begin_sql(v_name, route.method, route.phone, route.gateways, route.excluded);
    v_failure := tests.attempt(format('select tests.as_service(%L)', v_call));
    if v_failure.state is not null then
        perform tests.act_as_owner();
        return concat_ws(' ', v_failure.state, v_failure.hint);
    end if;
    select concat_ws(' ', p.gateway, p.method)
    into v_answer
    from public.payments as p
    where p.order_id = v_order_id;
    return v_answer;
end
$$;

create table tests.routes (
    place serial, country text, method text, phone text, gateways text [], excluded text [],
    wanted text, title text
);
insert into tests.routes (country, method, phone, gateways, excluded, wanted, title) values
('CM', null, null, '{orange, mtn, kora}', '{}', 'orange orange_money',
    'without a method it is the country''s first'),
('CM', null, null, '{mtn, kora}', '{}', 'kora kora_checkout',
    'without a method and a number, none that needs a number'),
('CM', null, '+237650000000', '{mtn, kora}', '{}', 'mtn mtn_momo',
    'with a number, one that needs it too'),
('CM', null, null, '{mtn}', '{}', 'PT409 payment_method_unavailable',
    'without a number none is left when all need one'),
('CM', null, null, '{}', '{}', 'PT409 payment_method_unavailable',
    'without a gateway there is none'),
('CM', null, null, null, null, 'PT409 payment_method_unavailable',
    'without a list of gateways there is none'),
('CM', null, null, '{paygate, payfast}', '{}', 'PT409 payment_method_unavailable',
    'another country''s gateways are none'),
('CM', 'mtn_momo', '+237650000000', '{orange, mtn, kora}', '{}', 'mtn mtn_momo',
    'a method goes to its first gateway'),
('CM', 'mtn_momo', '+237650000000', '{orange, kora}', '{}', 'kora mtn_momo',
    'or to its next when the first is not set up'),
('CM', 'mtn_momo', '+237650000000', '{mtn, kora}', '{mtn}', 'kora mtn_momo',
    'or to its next when the first has just refused'),
('CM', 'mtn_momo', '+237650000000', '{mtn, kora}', null, 'mtn mtn_momo',
    'nothing excluded is nothing'),
('CM', 'mtn_momo', '+237650000000', '{mtn, kora}', '{kora, mtn}',
    'PT409 payment_method_unavailable', 'and to none when all have refused'),
('CM', 'mtn_momo', '+237650000000', '{orange}', '{}', 'PT409 payment_method_unavailable',
    'a method is not another one'),
('CM', 'mtn_momo', null, '{mtn, kora}', '{}', 'PT400 payment_phone_required',
    'a method that needs a number asks for it'),
('CM', 'orange_money', null, '{orange, kora}', '{}', 'orange orange_money',
    'the same method needs no number at one gateway'),
('CM', 'orange_money', null, '{orange, kora}', '{orange}', 'PT400 payment_phone_required',
    'and does at the other'),
('CM', 'orange_money', '+237650000000', '{kora}', '{}', 'kora orange_money',
    'and is taken with it'),
('CM', 'kora_checkout', null, '{orange, mtn, kora}', '{}', 'kora kora_checkout',
    'Kora''s own page takes Cameroon'),
('CM', 'card', null, '{paygate, payfast, kora}', '{}', 'PT409 payment_method_unavailable',
    'a method of another country is not available'),
('CM', 'bitcoin', null, '{kora}', '{}', 'PT400 payment_method_unknown', 'a method that is none'),
('CM', '', null, '{kora}', '{}', 'PT400 payment_method_unknown', 'an empty method is none'),
('ZA', null, null, '{kora, payfast, paygate}', '{}', 'paygate card',
    'the country''s first, in whatever order gateways are set up'),
('ZA', null, null, '{kora}', '{}', 'kora kora_checkout', 'the first of the only gateway'),
('ZA', 'card', null, '{kora, payfast, paygate}', '{paygate}', 'payfast card', 'a card''s second'),
('ZA', 'card', null, '{kora, payfast, paygate}', '{paygate, payfast}',
    'PT409 payment_method_unavailable', 'a card''s third there is not'),
('ZA', 'eft', null, '{paygate, payfast, kora}', '{}', 'paygate eft', 'a transfer''s first'),
('ZA', 'eft', null, '{payfast, kora}', '{}', 'payfast eft', 'a transfer''s second'),
('ZA', 'eft', null, '{kora}', '{}', 'kora eft', 'a transfer''s third'),
('ZA', 'mtn_momo', '+27821234567', '{mtn, kora}', '{}', 'PT409 payment_method_unavailable',
    'mobile money of Cameroon is not South Africa''s'),
-- numbers
('CM', 'mtn_momo', '650000000', '{mtn}', '{}', 'PT400 payment_phone_invalid',
    'a number without the country''s is invalid'),
('CM', 'mtn_momo', '+0650000000', '{mtn}', '{}', 'PT400 payment_phone_invalid',
    'a number does not begin with nought'),
('CM', 'mtn_momo', '+23765000000000000', '{mtn}', '{}', 'PT400 payment_phone_invalid',
    'a number has at most 15 digits'),
('CM', 'mtn_momo', '', '{mtn}', '{}', 'PT400 payment_phone_invalid', 'an empty number is none'),
('CM', 'mtn_momo', E'+237650000000\n', '{mtn}', '{}', 'mtn mtn_momo',
    'what stands around digits is dropped'),
('CM', 'kora_checkout', 'call me', '{kora}', '{}', 'PT400 payment_phone_invalid',
    'a number that nobody needs must be one still');
select is(tests.route(r.country, r.method, r.phone, r.gateways, r.excluded), r.wanted,
    format('%s: %s', r.country, r.title))
from tests.routes as r
order by r.place;

update public.payment_routes set is_enabled = false where country = 'ZA' and gateway = 'paygate';
select is(tests.route('ZA', null, null, '{kora, payfast, paygate}', '{}'), 'payfast card',
    'a route that is switched off is passed over');
update public.payment_routes set is_enabled = true where country = 'ZA' and gateway = 'paygate';

-- What begins -------------------------------------------------------------------------------------
-- when amina pays by MTN, with her number as people write it

select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 2)));
delete from private.outbox;
select is(
    tests.begin_payment('first', 'order', 'mtn_momo', '+237 (650) 00.00-00', '{mtn, kora}')
        - 'payment_id' - 'reference' - 'customer_email' - 'order_number' - 'created_at'
        - 'started_at' - 'webhook_token',
    jsonb_build_object(
        'order_id', tests.id('order'), 'gateway', 'mtn', 'method', 'mtn_momo',
        'gateway_transaction_id', null, 'gateway_session', null, 'amount', 13500.00,
        'currency', 'XAF', 'refunded_amount', 0.00,
        'status', 'pending', 'order_status', 'pending', 'action', null, 'failure_reason', null,
        'expires_at', null, 'checks', 0, 'is_settled', false, 'is_new', true, 'country', 'CM',
        'language', 'fr', 'customer_name', 'Amina Test', 'phone', '+237650000000',
        'save_method', false, 'saved_method_token', null
    ),
    'the edge learns all that a gateway asks for'
);
select results_eq(
    $$ select p.user_id, p.order_id, p.gateway, p.method, p.amount, p.currency, p.status::text,
           p.is_winner, p.action, p.next_check_at, p.checks, p.superseded_at, p.payer_account,
           p.save_method, p.saved_payment_method_id, p.collected_amount, p.collected_currency,
           p.refunded_amount
       from tests.payment('first') as p $$,
    $$ values (tests.id('amina'), tests.id('order'), 'mtn', 'mtn_momo', 13500.00, 'XAF', 'pending',
           false, null::jsonb, now() + interval '15 seconds', 0, null::timestamptz,
           '+237650000000', false, null::uuid, null::numeric, null, 0.00) $$,
    'one attempt is kept, for the whole total'
);
select matches((tests.payment('first')).reference, '^mg-[0-9a-f]{24}$',
    'its reference is long, plain and fits every gateway');
create function tests.tokens(name text) returns text []
language sql stable security definer as $$
    select array_agg(t.webhook_token order by t.webhook_token)
    from private.payment_tokens as t where t.payment_id = tests.id(tokens.name)
$$;
select is(cardinality(tests.tokens('first')), 1, 'one token is made for its notices');
select matches((tests.tokens('first'))[1], '^[0-9a-f]{32}$', 'random, and fit for an address');
select is(
    tests.as_service(tests.begin_sql('order', 'mtn_momo', '+237650000000', '{mtn}'))
        - 'is_new' - 'created_at' - 'started_at',
    (
        select jsonb_build_object(
            'payment_id', p.id, 'reference', p.reference, 'customer_email', u.email,
            'order_number', o.order_number, 'order_id', o.id, 'gateway', 'mtn',
            'method', 'mtn_momo', 'gateway_transaction_id', null, 'gateway_session', null,
            'amount', 13500.00, 'currency', 'XAF', 'refunded_amount', 0.00, 'status', 'pending',
            'order_status', 'pending', 'action', null, 'failure_reason', null,
            'expires_at', null, 'checks', 0, 'is_settled', false, 'country', 'CM',
            'language', 'fr', 'customer_name', 'Amina Test', 'phone', '+237650000000',
            'save_method', false, 'saved_method_token', null, 'webhook_token', null
        )
        from tests.payment('first') as p
        inner join public.orders as o on p.order_id = o.id
        inner join public.users as u on o.user_id = u.id
    ),
    'begun again, it is the same attempt, and its token is told no more'
);
select is(
    tests.as_service(tests.begin_sql('order', 'mtn_momo', '+237650000000', '{mtn}')) -> 'is_new',
    'false',
    'and not a new one'
);
select results_eq(
    $$ select o.payment_status::text, o.status::text, o.expires_at
       from public.orders as o where o.id = tests.id('order') $$,
    $$ values ('processing', 'pending', now() + interval '30 minutes') $$,
    'the order is being paid'
);
select results_eq(
    $$ select e.kind, e.from_status::text, e.to_status::text, e.actor_type, e.actor_id
       from public.order_events as e
       where e.order_id = tests.id('order') and e.kind <> 'placed' $$,
    $$ values ('payment_begun', null, null, 'user', tests.id('amina')) $$,
    'one event says who began to pay'
);
select results_eq(
    $$ select o.job, o.args, o.dedupe_key, o.available_at from private.outbox as o $$,
    $$ values ('reconcile_payments', jsonb_build_object('payment_id', tests.id('first')),
           'reconcile_payments/' || tests.id('first') || '/0', now() + interval '15 seconds') $$,
    'one check is due in 15 seconds, whatever becomes of the caller'
);
select results_eq(
    $$ select e.kind, e.actor_type, e.actor_id, e.detail from private.payment_events as e
       where e.payment_id = tests.id('first') $$,
    $$ values ('begun', 'user', tests.id('amina'), '{"gateway": "mtn", "method": "mtn_momo",
           "amount": 13500.00, "currency": "XAF"}'::jsonb) $$,
    'and the trail begins'
);

-- Another way to pay is another attempt -----------------------------------------------------------

create table tests.second_answer as
select tests.begin_payment('second', 'order', phone => '+237 650 00 00 00') as answer;
select is(
    (select a.answer - 'payment_id' from tests.second_answer as a)
    @> '{"is_new": true, "phone": "+237650000000"}',
    true, 'another method is a new attempt'
);
select is(
    (select array[a.answer ->> 'webhook_token'] from tests.second_answer as a),
    tests.tokens('second'), 'whose token the edge is told, to write it into the address of notices'
);
select is(
    (tests.payment('second')).payer_account, null,
    'a number that the gateway was not asked to call is nobody''s account'
);
select isnt(tests.id('second'), tests.id('first'), 'of its own');
select isnt(tests.tokens('second'), tests.tokens('first'), 'with a token of its own');
select is(
    tests.begin_payment('third', 'order', 'mtn_momo', '+237650000000', '{mtn, kora}', '{mtn}')
        ->> 'is_new',
    'true',
    'the same method at another gateway is one too'
);
select is(
    (select count(distinct p.reference) from public.payments as p
     where p.order_id = tests.id('order')),
    3::bigint,
    'each with its own reference'
);

-- The gateway accepted ----------------------------------------------------------------------------

create function tests.started_sql(
    name text, gateway_transaction_id text, action jsonb, expires_at timestamptz,
    webhook_token text default null, gateway_session text default null
)
returns text
language sql stable as $$
    select format(
        'service.record_payment_started(%L, %L, %L, %L, %L, %L)', tests.id(started_sql.name),
        started_sql.gateway_transaction_id, started_sql.action, started_sql.expires_at,
        started_sql.webhook_token, started_sql.gateway_session
    )
$$;
select is(
    tests.as_service(tests.started_sql(
        'second', 'KPY-1', '{"action": "redirect", "url": "https://pay.example/1"}',
        now() + interval '20 minutes', 'zz-token-1', 'session-1'
    )) - 'created_at' - 'started_at' - 'expires_at' - 'reference',
    jsonb_build_object(
        'payment_id', tests.id('second'), 'order_id', tests.id('order'), 'gateway', 'kora',
        'method', 'kora_checkout', 'gateway_transaction_id', 'KPY-1',
        'gateway_session', 'session-1', 'amount', 13500.00, 'refunded_amount', 0.00,
        'currency', 'XAF', 'status', 'processing', 'order_status', 'pending',
        'action', '{"action": "redirect", "url": "https://pay.example/1"}'::jsonb,
        'failure_reason', null, 'checks', 0, 'is_settled', false
    ),
    'an accepted attempt is processing, with what the payer does next'
);
create function tests.our_token(name text) returns text
language sql stable as $$
    select t from unnest(tests.tokens(our_token.name)) as t where t ~ '^[0-9a-f]{32}$'
$$;
select is(
    tests.tokens('second'), array[tests.our_token('second'), 'zz-token-1'],
    'the gateway''s own token of its notices is kept beside ours'
);
select results_eq(
    $$ select e.actor_type, e.detail - 'expires_at' from private.payment_events as e
       where e.payment_id = tests.id('second') and e.kind = 'started' $$,
    $$ values ('gateway', '{"action": "redirect", "gateway_transaction_id": "KPY-1",
           "gateway_session": "session-1"}'::jsonb) $$,
    'the trail names transaction and session, no token'
);
select is(
    tests.as_service(tests.begin_sql('order')) -> 'action',
    '{"action": "redirect", "url": "https://pay.example/1"}',
    'who asks again is sent to the same page'
);
select is(
    tests.as_service(tests.started_sql(
        'second', 'KPY-2', '{"action": "redirect", "url": "https://pay.example/2"}',
        now() + interval '20 minutes', 'zz-token-2', 'session-2'
    )) ->> 'gateway_transaction_id',
    'KPY-1',
    'recorded again, its first transaction stays'
);
select is((tests.payment('second')).gateway_session, 'session-1', 'and its first session');
select is(
    tests.tokens('second'), array[tests.our_token('second'), 'zz-token-1', 'zz-token-2'],
    'while every token that notices may carry is known'
);
-- Names and tokens of what the secrets are asked for; other gateways' payments never answer.
create function tests.secrets(
    gateway text, refs text [], tokens text [] default '{}'
)
returns text []
language sql as $$
    select array_agg(n.name || ' ' || coalesce(o.is_ours, s.token) order by n.name, s.token)
    from jsonb_to_recordset(tests.as_service(format(
        'service.webhook_secrets(%L, %L, %L)', secrets.gateway, secrets.refs, secrets.tokens
    ))) as a (payment_id uuid, webhook_token text)
    cross join lateral (select a.webhook_token) as s (token)
    inner join tests.names as n on a.payment_id = n.id
    left join lateral (
        select 'ours' where s.token = tests.our_token(n.name)
    ) as o (is_ours) on true
$$;
select is(tests.secrets(s.gateway, s.refs, s.tokens), s.wanted, s.title)
from (
    values
    ('kora', array[(tests.payment('second')).reference], '{}'::text [],
        '{"second ours",second zz-token-1,second zz-token-2}'::text [],
        'the secrets of a payment are all its tokens'),
    ('kora', array['KPY-1'], '{}', '{"second ours",second zz-token-1,second zz-token-2}',
        'they are found by the gateway''s transaction too'),
    ('kora', array['session-1'], '{}', '{"second ours",second zz-token-1,second zz-token-2}',
        'and by its session'),
    ('kora', '{}', array['zz-token-2'], '{"second ours",second zz-token-1,second zz-token-2}',
        'and by a token of the gateway''s'),
    ('kora', '{}', array[tests.our_token('second')],
        '{"second ours",second zz-token-1,second zz-token-2}', 'and by ours'),
    ('kora', array['KPY-1', 'session-1'], array['zz-token-1', 'zz-token-2'],
        '{"second ours",second zz-token-1,second zz-token-2}', 'each once, however often named'),
    ('mtn', array['KPY-1'], '{}', null, 'but not at another gateway'),
    ('mtn', '{}', array['zz-token-1'], null, 'a token neither'),
    ('kora', array['KPY-9'], '{}', null, 'nor for an unknown reference'),
    ('kora', '{}', array['zz-token-9'], null, 'or an unknown token'),
    ('kora', '{}', '{}', null, 'nor for nothing'),
    ('kora', null, null, null, 'nor for no lists'),
    ('kora', array[(tests.payment('third')).reference], '{}', array['third ours'],
        'an attempt that the gateway gave no token has ours'),
    ('mtn', array[(tests.payment('first')).reference], array[tests.our_token('second')],
        array['first ours'], 'what is named of another gateway is left out')
) as s (gateway, refs, tokens, wanted, title);
select is(
    tests.as_service(format(
        'service.webhook_secrets(%L, %L)', 'mtn', array[(tests.payment('first')).reference]
    )),
    jsonb_build_array(jsonb_build_object(
        'payment_id', tests.id('first'), 'webhook_token', tests.our_token('first')
    )),
    'each secret comes with the payment it is of; tokens need not be asked by'
);
select tests.refuses(
    format('select tests.as_service(%L)', format(
        'service.record_payment_started(%L, null, ''{}'', null)', gen_random_uuid())),
    'PT404 payment_not_found', 'an unknown attempt cannot have started'
);
select tests.act_as_owner();

-- The gateway did not accept ----------------------------------------------------------------------

create function tests.start_failed(name text, outcome text, reason text) returns jsonb
language sql as $$
    select tests.as_service(format(
        'service.record_payment_start_failed(%L, %L, %L)', tests.id(start_failed.name),
        start_failed.outcome, start_failed.reason
    ))
$$;
create function tests.states(order_name text) returns text
language sql stable as $$
    select string_agg(format(
        '%s %s%s', n.name, p.status, case when p.next_check_at is not null then ' polled' end
    ), ', ' order by n.name) || '; order ' || max(o.payment_status::text)
    from public.payments as p
    inner join tests.names as n on p.id = n.id
    inner join public.orders as o on p.order_id = o.id
    where p.order_id = tests.id(states.order_name)
$$;

select is(
    tests.start_failed('first', 'unknown', E'time-out\nafter 10 s')
        - 'reference' - 'created_at' - 'started_at' - 'gateway_transaction_id' - 'expires_at',
    jsonb_build_object(
        'payment_id', tests.id('first'), 'order_id', tests.id('order'), 'gateway', 'mtn',
        'method', 'mtn_momo', 'gateway_session', null, 'amount', 13500.00, 'currency', 'XAF',
        'refunded_amount', 0.00, 'status', 'pending',
        'order_status', 'pending', 'action', null, 'failure_reason', 'time-out after 10 s',
        'checks', 0, 'is_settled', false
    ),
    'without an answer an attempt stays pending'
);
select is(
    tests.states('order'),
    'first pending polled, second processing polled, third pending polled; order processing',
    'and is asked about'
);
select is(
    (tests.payment('first')).expires_at, now() + interval '15 minutes',
    'for a quarter of an hour somebody may be paying on it'
);
update public.payments set expires_at = now() + interval '1 minute' where id = tests.id('first');
select is(
    tests.start_failed('first', 'unknown', 'again') ->> 'failure_reason', 'again',
    'said again, with another reason'
);
select is(
    (tests.payment('first')).expires_at, now() + interval '1 minute', 'it is not given longer'
);
select results_eq(
    $$ select e.actor_type, e.detail from private.payment_events as e
       where e.payment_id = tests.id('first') and e.kind = 'not_started' order by e.created_at $$,
    $$ values
       ('gateway', '{"outcome": "unknown", "reason": "time-out after 10 s"}'::jsonb),
       ('gateway', '{"outcome": "unknown", "reason": "again"}') $$,
    'the trail has both'
);
select is(
    tests.start_failed('third', 'nothing_created', repeat('x', 400)) ->> 'status', 'failed',
    'an attempt that surely created nothing has failed'
);
select is(
    char_length((tests.payment('third')).failure_reason), 300, 'its reason is cut to 300 characters'
);
select is(
    tests.states('order'),
    'first pending polled, second processing polled, third failed; order processing',
    'it is asked about no more, and the order is being paid by the others'
);
select is(tests.start_failed(f.name, f.outcome, 'too late') ->> 'status', f.status, f.title)
from (
    values
    ('second', 'nothing_created', 'processing', 'an accepted attempt does not fail to start'),
    ('second', 'unknown', 'processing', 'nor is its start unknown'),
    ('third', 'unknown', 'failed', 'a failed one stays failed')
) as f (name, outcome, status, title);
select is(
    (tests.payment('second')).failure_reason, null, 'and its reason is not the accepted one''s'
);
select is(
    tests.as_service(tests.started_sql('third', null, '{"action": "push"}', null)) ->> 'status',
    'failed',
    'nor does a failed attempt start'
);
select tests.begin_payment('quoted', 'order', 'orange_money', null, '{orange}');
select is(
    tests.start_failed('quoted', 'nothing_created', 'card 4111111111111111 refused')
        ->> 'failure_reason',
    'card … refused', 'a reason that quotes a card number loses it'
);
select tests.refuses(
    format('select tests.as_service(%L)', format(
        'service.record_payment_start_failed(%L, ''unknown'', ''x'')', gen_random_uuid())),
    'PT404 payment_not_found', 'an unknown attempt cannot fail'
);
select tests.act_as_owner();

-- After a failure a new attempt begins ------------------------------------------------------------

select is(
    tests.begin_payment('fourth', 'order', 'mtn_momo', '+237650000000', '{kora}') ->> 'is_new',
    'true',
    'after a failure the same way is a new attempt'
);
select tests.place_order('alone', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.begin_payment('alone-1', 'alone');
select tests.start_failed('alone-1', 'nothing_created', 'no');
select is(tests.states('alone'), 'alone-1 failed; order failed',
    'an order whose only attempt failed says so');
select tests.begin_payment('alone-2', 'alone');
select is(tests.states('alone'), 'alone-1 failed, alone-2 pending polled; order processing',
    'until the next attempt');

-- An attempt that nobody can pay on any more gives way --------------------------------------------

select tests.place_order('slow', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.begin_payment('slow-1', 'slow');
update public.payments set created_at = now() - interval '59 seconds' where id = tests.id('slow-1');
select is(
    tests.as_service(tests.begin_sql('slow')) ->> 'payment_id', tests.id('slow-1')::text,
    'a start without an answer is waited for'
);
update public.payments set created_at = now() - interval '1 minute' where id = tests.id('slow-1');
select is(
    tests.begin_payment('slow-2', 'slow') ->> 'is_new', 'true',
    'after a minute a new attempt takes its place'
);
select is(
    tests.states('slow'), 'slow-1 pending polled, slow-2 pending polled; order processing',
    'and the old one is asked about still'
);
select is((tests.payment('slow-1')).superseded_at, now(), 'it is marked');
select tests.as_service(tests.started_sql(
    'slow-2', 'KPY-3', '{"action": "redirect"}', now() + interval '1 second'
));
update public.payments set created_at = now() - interval '1 hour' where id = tests.id('slow-2');
select is(
    tests.as_service(tests.begin_sql('slow')) ->> 'payment_id', tests.id('slow-2')::text,
    'a page is used as long as it holds'
);
update public.payments set expires_at = now() where id = tests.id('slow-2');
select is(
    tests.begin_payment('slow-3', 'slow') ->> 'is_new', 'true',
    'an expired page gives way to a new attempt'
);
select is(
    tests.states('slow'),
    'slow-1 pending polled, slow-2 processing polled, slow-3 pending polled; order processing',
    'and is asked about still'
);

-- The hold is lengthened for whoever is paying ----------------------------------------------------

create function tests.held_until(name text, age interval, remaining interval) returns interval
language plpgsql as $$
declare
    v_order_id uuid := tests.place_order(
        held_until.name, 'amina', jsonb_build_array(tests.item('shoe', 1))
    );
begin
    update public.orders as o
    set created_at = now() - held_until.age, expires_at = now() + held_until.remaining
    where o.id = v_order_id;
    perform tests.as_service(tests.begin_sql(held_until.name));
    return (select o.expires_at - now() from public.orders as o where o.id = v_order_id);
end
$$;
select is(tests.held_until('fresh', '29 minutes', '1 minute'), interval '30 minutes',
    'an attempt lengthens the hold to 30 minutes from now');
select is(tests.held_until('aged', '100 minutes', '1 minute'), interval '20 minutes',
    'but not beyond two hours from when it was placed');
select is(tests.held_until('old', '3 hours', '1 minute'), interval '1 minute',
    'nor is it ever shortened');

-- What cannot be paid -----------------------------------------------------------------------------

select tests.place_order(s.status, 'amina', jsonb_build_array(tests.item('shoe', 1)))
from (
    values ('paid'), ('shipped'), ('delivered'), ('cancelled'), ('expired')
) as s (status);
update public.orders set status = 'paid', paid_at = now()
where id in (tests.id('paid'), tests.id('shipped'), tests.id('delivered'));
update public.orders set status = 'shipped', shipped_at = now()
where id in (tests.id('shipped'), tests.id('delivered'));
update public.orders set status = 'delivered', delivered_at = now()
where id = tests.id('delivered');
update public.orders set status = 'cancelled', cancelled_at = now(), cancel_reason = 'test'
where id = tests.id('cancelled');
update public.orders set expires_at = now() where id = tests.id('expired');
select tests.remember();

select tests.act_as_service();
select tests.refuses(
    'select ' || tests.begin_sql(s.status), 'PT409 order_not_payable',
    format('a %s order cannot be paid', s.status), s.detail
)
from (
    values
    ('paid', 'paid'), ('shipped', 'shipped'), ('delivered', 'delivered'),
    ('cancelled', 'cancelled'), ('expired', 'pending')
) as s (status, detail);
select tests.refuses(
    format('select service.begin_payment(%L, %L, null, null, ''{kora}'')', b.actor_id, b.order_id),
    'PT404 order_not_found', b.title, b.order_id
)
from (
    values
    (tests.id('bongani'), tests.id('alone')::text, 'another user''s order cannot be paid'),
    (tests.id('chioma'), tests.id('alone')::text, 'nor can an admin pay it'),
    (null, tests.id('alone')::text, 'nor can nobody'),
    (tests.id('amina'), tests.id('shoe')::text, 'an unknown order cannot be paid'),
    (tests.id('amina'), null, 'no order cannot be paid')
) as b (actor_id, order_id, title);
select tests.act_as_owner();
select tests.nothing_changed('none of these changed a row');

-- By a saved method -------------------------------------------------------------------------------
-- given cards that PayGate keeps for amina and bongani, and an account of hers at PayFast

select tests.name_it(m.name, private.save_payment_method(
    tests.id(m.owner), m.gateway, m.method,
    jsonb_build_object('token', m.token, 'label', m.label, 'expires_on', '2030-12-31')
))
from (
    values
    ('her-card', 'amina', 'paygate', 'card', 'vault-1', 'Visa …0015'),
    ('her-account', 'amina', 'payfast', 'eft', 'token-7', 'Capitec'),
    ('his-card', 'bongani', 'paygate', 'card', 'vault-2', 'Visa …0023')
) as m (name, owner, gateway, method, token, label);

create function tests.begin_saved(
    order_name text, saved_method text, method text default null,
    gateways text [] default '{paygate, payfast, kora}', excluded text [] default '{}'
)
returns text
language sql stable as $$
    select 'select ' || tests.begin_sql(
        begin_saved.order_name, begin_saved.method, null, begin_saved.gateways,
        begin_saved.excluded, false, tests.id(begin_saved.saved_method)
    )
$$;
select tests.place_order(o.name, 'amina', jsonb_build_array(tests.item('shoe', 1)), o.country)
from (
    values ('by-card', 'ZA'), ('by-account', 'ZA'), ('keeping', 'ZA'), ('elsewhere', 'CM')
) as o (name, country);
create table tests.saved_answer as
select tests.begin_payment(
    'by-card-1', 'by-card', null, null, '{kora, payfast, paygate}',
    saved_method_id => tests.id('her-card')
) as answer;
select is(
    (
        select concat_ws(
            ' ', a.answer ->> 'gateway', a.answer ->> 'method', a.answer ->> 'saved_method_token',
            a.answer ->> 'is_new', a.answer ->> 'save_method'
        )
        from tests.saved_answer as a
    ),
    'paygate card vault-1 true false', 'a saved method goes to its own gateway, with its token'
);
select is(
    (tests.payment('by-card-1')).saved_payment_method_id, tests.id('her-card'),
    'and is known of the attempt'
);
select is(
    tests.begin_payment(
        'by-account-1', 'by-account', 'eft', null, '{paygate, payfast}',
        saved_method_id => tests.id('her-account')
    ) ->> 'saved_method_token',
    'token-7', 'it passes over the country''s first gateway for that method'
);
select is(
    (
        select concat_ws(' ', a.answer ->> 'is_new', a.answer ->> 'saved_method_token')
        from (
            select tests.as_service(tests.begin_sql('by-card', 'card', null, '{paygate}')) as answer
        ) as a
    ),
    'false vault-1', 'asked for again without it, the attempt is the same'
);
select is(
    (
        select concat_ws(' ', a.answer ->> 'is_new', a.answer ->> 'save_method',
            a.answer ->> 'saved_method_token')
        from (
            select tests.begin_payment(
                'keeping-1', 'keeping', 'card', null, '{paygate}', save_method => true
            ) as answer
        ) as a
    ),
    'true true', 'who asks that the gateway keep a new one has it said so'
);
select is((tests.payment('keeping-1')).save_method, true, 'and the attempt knows');
select tests.remember();
select tests.act_as_service();
select tests.refuses(
    tests.begin_saved(b.order_name, b.saved_method, b.method, b.gateways, b.excluded),
    b.refusal, b.title, b.detail
)
from (
    values
    ('keeping', 'his-card', null, '{paygate}'::text [], '{}'::text [],
        'PT404 saved_method_not_found', 'another person''s method is not there',
        tests.id('his-card')::text),
    ('keeping', 'shoe', null, '{paygate}', '{}', 'PT404 saved_method_not_found',
        'nor is one that is none', tests.id('shoe')::text),
    ('keeping', 'her-card', 'eft', '{paygate}', '{}', 'PT404 saved_method_not_found',
        'a card does not pay by transfer', tests.id('her-card')::text),
    ('keeping', 'her-card', null, '{payfast, kora}', '{}', 'PT409 payment_method_unavailable',
        'a token is good at its own gateway only', null),
    ('keeping', 'her-card', null, '{paygate, payfast, kora}', '{paygate}',
        'PT409 payment_method_unavailable', 'and nowhere else when that one refused', null),
    ('elsewhere', 'her-card', null, '{paygate, orange, kora}', '{}',
        'PT409 payment_method_unavailable', 'nor in a country it does not serve', null)
) as b (order_name, saved_method, method, gateways, excluded, refusal, title, detail);
select tests.act_as_owner();
select tests.nothing_changed('and none of these changed a row');
delete from public.saved_payment_methods where id = tests.id('her-card');
select is(
    (tests.payment('by-card-1')).saved_payment_method_id, null,
    'a method that is forgotten leaves its attempts'
);

-- Who may look ------------------------------------------------------------------------------------

select is(
    tests.as_service(format(
        'service.payment_status(%L, %L)', tests.id(s.actor), tests.id('second')
    )) - 'expires_at' - 'created_at' - 'started_at',
    jsonb_build_object(
        'payment_id', tests.id('second'), 'order_id', tests.id('order'), 'gateway', 'kora',
        'method', 'kora_checkout', 'reference', (tests.payment('second')).reference,
        'gateway_transaction_id', 'KPY-1', 'gateway_session', 'session-1', 'amount', 13500.00,
        'currency', 'XAF', 'refunded_amount', 0.00, 'refunds', '[]'::jsonb,
        'status', 'processing', 'order_status', 'pending',
        'action', '{"action": "redirect", "url": "https://pay.example/2"}'::jsonb,
        'failure_reason', null, 'checks', 0, 'is_settled', false
    ),
    format('%s sees how the payment stands', s.title)
)
from (values ('amina', 'the owner'), ('chioma', 'an admin')) as s (actor, title);
select tests.refuses(
    format('select tests.as_service(%L)', format(
        'service.payment_status(%L, %L)', s.actor_id, s.payment_id)),
    'PT404 payment_not_found', s.title, s.payment_id
)
from (
    values
    (tests.id('bongani'), tests.id('second')::text, 'another user does not'),
    (null, tests.id('second')::text, 'nobody does not'),
    (tests.id('amina'), tests.id('shoe')::text, 'nobody sees one that is none')
) as s (actor_id, payment_id, title);
select tests.act_as_owner();
-- given money of it is on its way back
select count(tests.apply('second', 'paid'));
select is(
    tests.as_service(format(
        'service.begin_refund(%L, %L, 500, null, ''scratched'', ''refund-key-1'')',
        tests.id('chioma'), tests.id('second')
    )) - 'refund_id' - 'reference' - 'created_at',
    (
        tests.as_service(format(
            'service.payment_status(%L, %L)', tests.id('amina'), tests.id('second')
        )) #> '{refunds,0}'
    ) - 'refund_id' - 'reference' - 'created_at',
    'the owner sees what goes back'
);
select is(
    (
        tests.as_service(format(
            'service.payment_status(%L, %L)', tests.id('amina'), tests.id('second')
        )) #> '{refunds,0}'
    ) - 'refund_id' - 'reference' - 'created_at',
    jsonb_build_object(
        'payment_id', tests.id('second'), 'order_id', tests.id('order'), 'gateway', 'kora',
        'way', 'gateway', 'amount', 500.00, 'tax_amount', 81.00, 'currency', 'XAF',
        'status', 'pending', 'reason', 'scratched', 'failure_reason', null, 'items', '[]'::jsonb,
        'refunded_at', null
    ),
    'how much of it, by which way, and how far it is'
);
select is(
    tests.as_service(format('service.payment_return(%L)', tests.id('second'))),
    jsonb_build_object('payment_id', tests.id('second'), 'order_id', tests.id('order')),
    'the way back tells ids and nothing else'
);
select is(
    tests.as_service(format('service.payment_return(%L)', gen_random_uuid())), null,
    'and nothing for an unknown payment'
);

select * from finish();
rollback;
