-- The gateway's own answer: money settles an order once, or stands before a person, and nothing
-- that is said later takes it back.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(209);
-- one page of this gateway may be paid twice
update private.payment_gateways set takes_twice = true where code = 'kora';

-- given amina and an affiliate's code
select tests.make_user('amina', 'fr', 'CM');
select tests.make_product('shoe', 1000, name_fr => 'Chaussure');
select tests.make_wholesale_product('box', 1000);
select tests.make_affiliate('pat');
select tests.make_promo_code('PAT10', 'pat', usage_limit => null);

create function tests.order_of(name text) returns uuid
language sql as $$
    select tests.place_order(
        order_of.name, 'amina',
        jsonb_build_array(tests.item('shoe', 1), tests.item('box', 10)), promo_code => 'PAT10'
    )
$$;
-- shoes and boxes reserved/on hand, the code's uses final+held, statistics, mails, messages.
create function tests.books() returns text
language sql stable security definer as $$
    select format(
        'shoe %s/%s, box %s/%s, code %s+%s, stats %s, mails %s, messages %s',
        s.reserved, s.on_hand, b.reserved, b.on_hand, p.usage_count, p.reserved_count,
        (select count(*) from public.affiliate_stats as a where a.promo_code_id = p.id),
        (select count(*) from private.emails as e
         where e.user_id = tests.id('amina') and e.template = 'payment_received'),
        (select count(*) from public.notifications as n where n.user_id = tests.id('amina'))
    )
    from public.product_stock as s, public.product_stock as b, public.promo_codes as p
    where s.listing_id = tests.id('shoe') and b.listing_id = tests.id('box')
        and p.id = tests.id('PAT10')
$$;
-- status of attempt and order, the order's word on its payment, who won, whether it is asked about,
-- what came when it is not what was asked for, open (!) and settled exceptions.
create function tests.state_of(name text) returns text
language sql stable security definer as $$
    select concat_ws(
        ' ', p.status, case when p.is_winner then 'winner' end,
        case when p.next_check_at is not null then 'polled' end,
        case when (p.collected_amount, p.collected_currency) <> (p.amount, p.currency)
            then format('has %s %s', p.collected_amount, p.collected_currency) end,
        '/', o.status, o.payment_status,
        (select '! ' || string_agg(e.kind, ', ' order by e.kind)
         from private.payment_exceptions as e
         where e.payment_id = p.id and e.resolved_at is null),
        (select '(' || string_agg(e.kind, ', ' order by e.kind) || ')'
         from private.payment_exceptions as e
         where e.payment_id = p.id and e.resolution = 'settled')
    )
    from public.payments as p
    inner join public.orders as o on p.order_id = o.id
    where p.id = tests.id(state_of.name)
$$;
-- What an answer says of itself.
create function tests.says(answer jsonb) returns text
language sql immutable as $$
    select concat_ws(
        ' ', answer ->> 'outcome', answer ->> 'payment_status', '/', answer ->> 'order_status'
    )
$$;

-- Paid --------------------------------------------------------------------------------------------

select tests.order_of('order');
select count(tests.begin_payment('payment', 'order'));
select is(
    tests.books(), 'shoe 1/1000, box 10/1000, code 0+1, stats 0, mails 0, messages 0',
    'given an order that holds its goods and its code'
);
delete from private.outbox;
create table tests.answers (name text, answer jsonb);
insert into tests.answers
select 'paid', tests.apply(
    'payment', 'paid', gateway_transaction_id => 'KPY-1', fee => 350, request_id => 'req-1'
);
select is(
    (select a.answer - 'reference' - 'created_at' - 'started_at' from tests.answers as a
     where a.name = 'paid'),
    jsonb_build_object(
        'payment_id', tests.id('payment'), 'order_id', tests.id('order'), 'gateway', 'kora',
        'method', 'kora_checkout', 'gateway_transaction_id', 'KPY-1', 'gateway_session', null,
        'amount', 30500.00, 'currency', 'XAF', 'refunded_amount', 0.00,
        'status', 'paid', 'payment_status', 'paid', 'order_status', 'paid',
        'action', null, 'failure_reason', null, 'expires_at', null, 'checks', 0,
        'is_settled', true, 'outcome', 'applied'
    ),
    'paid is applied, and the answer says how all stands'
);
select results_eq(
    $$ select p.status::text, p.is_winner, p.paid_at, p.evidence_at, p.next_check_at, p.fee_amount,
           p.gateway_transaction_id, p.failure_reason, p.collected_amount, p.collected_currency,
           p.refunded_amount
       from tests.payment('payment') as p $$,
    $$ values ('paid', true, now(), now(), null::timestamptz, 350.00, 'KPY-1', null, 30500.00,
           'XAF', 0.00) $$,
    'the attempt has won, with its fee and the gateway''s transaction, and is asked about no more'
);
select results_eq(
    $$ select o.status::text, o.payment_status::text, o.paid_at, o.cancelled_at, o.total_price
       from public.orders as o where o.id = tests.id('order') $$,
    $$ values ('paid', 'paid', now(), null::timestamptz, 30500.00) $$,
    'the order is paid'
);
select is(
    tests.books(), 'shoe 0/999, box 0/990, code 1+0, stats 1, mails 1, messages 1',
    'its goods have left the shelf, its use of the code is final and counted, one mail, one message'
);
select results_eq(
    $$ select e.kind, e.from_status::text, e.to_status::text, e.actor_type, e.actor_id, e.note
       from public.order_events as e
       where e.order_id = tests.id('order') and e.kind not in ('placed', 'payment_begun') $$,
    $$ values ('paid', 'pending', 'paid', 'gateway', null::uuid, null) $$,
    'one event: the gateway says so'
);
select results_eq(
    $$ select s.promo_code_id, s.affiliate_id, s.user_id, s.discount_amount, s.currency,
           s.created_at
       from public.affiliate_stats as s where s.order_id = tests.id('order') $$,
    $$ select tests.id('PAT10'), a.id, tests.id('amina'), 3000.00, 'XAF', now()
       from public.affiliates as a where a.user_id = tests.id('pat') $$,
    'the statistic has the order, the code, its owner and the discount'
);
select results_eq(
    $$ select o.job, o.args, o.request_id from private.outbox as o $$,
    $$ select 'send_email', jsonb_build_object('email_id', e.id), 'req-1'
       from private.emails as e
       where e.template = 'payment_received' and e.order_id = tests.id('order') $$,
    'one mail is asked for, under the request that brought the answer'
);
select results_eq(
    $$ select n.kind, n.data from public.notifications as n where n.user_id = tests.id('amina') $$,
    $$ select 'order_paid', jsonb_build_object(
           'order_id', o.id, 'order_number', o.order_number)
       from public.orders as o where o.id = tests.id('order') $$,
    'one message says paid'
);

-- Paid again, and whatever is said after ----------------------------------------------------------

select tests.remember();
select is(
    tests.says(tests.apply('payment', s.status, s.amount, s.currency, source => s.source)),
    'unchanged paid / paid',
    format('%s %s %s by %s after it was paid changes nothing', s.status, s.amount, s.currency,
        s.source)
)
from (
    values
    ('paid', null, null, 'webhook'), ('paid', null, null, 'poll'), ('paid', null, null, 'operator'),
    ('paid', 1, 'XAF', 'webhook'), ('paid', 30500, 'ZAR', 'webhook'), ('failed', null, null,
        'poll'),
    ('cancelled', null, null, 'webhook'), ('processing', null, null, 'poll'),
    ('pending', null, null, 'poll'), ('partially_refunded', null, null, 'poll')
) as s (status, amount, currency, source);
select is(
    (select count(*) from generate_series(1, 50) as g
     where tests.apply('payment', 'paid') ->> 'outcome' <> 'unchanged'),
    0::bigint,
    'the same answer fifty times over is one'
);
select tests.nothing_changed('no row of the shop is another one');

-- Taken back by the gateway -----------------------------------------------------------------------

select is(
    tests.says(tests.apply('payment', 'refunded', reason => E'charged\nback', source => 'poll')),
    'quarantined paid / paid',
    'money that the gateway says it gave back without being asked goes before a person'
);
select is(tests.state_of('payment'), 'paid winner / paid paid ! reversed_by_gateway',
    'payment and order stay as they are until then');
select results_eq(
    $$ select e.gateway, e.amount, e.currency, e.detail from private.payment_exceptions as e
       where e.payment_id = tests.id('payment') $$,
    $$ values ('kora', 30500.00, 'XAF', 'charged back') $$,
    'with the sum and the gateway''s word'
);
select tests.remember();
select is(tests.says(tests.apply('payment', 'refunded', source => 'poll')),
    'quarantined paid / paid', 'said again');
select tests.nothing_changed('it changes nothing');

-- Every answer to every state of an attempt -------------------------------------------------------
-- given an order with one attempt in each state, when each answer comes

create function tests.attempt_in(name text, state text) returns void
language plpgsql as $$
begin
    perform tests.order_of('order-' || name);
    perform tests.begin_payment(name, 'order-' || name);
    case state
        when 'pending' then null;
        when 'processing' then
            perform tests.as_service(format(
                'service.record_payment_started(%L, null, ''{}'', null)', tests.id(name)
            ));
        when 'quarantined' then
            perform tests.apply(name, 'paid', 1);
        else perform tests.apply(name, state, reason => 'given');
    end case;
end
$$;

create table tests.matrix (
    state text, answer text, amount numeric, currency text, says text, state_after text,
    settles boolean
);
insert into tests.matrix values
-- an attempt that is open
('pending', 'pending', null, null, 'unchanged pending / pending',
    'pending polled / pending processing', false),
('pending', 'processing', null, null, 'applied processing / pending',
    'processing polled / pending processing', false),
('pending', 'paid', null, null, 'applied paid / paid', 'paid winner / paid paid', true),
('pending', 'failed', null, null, 'applied failed / pending', 'failed / pending failed', false),
('pending', 'cancelled', null, null, 'applied cancelled / pending',
    'cancelled / pending cancelled', false),
('pending', 'refunded', null, null, 'applied cancelled / pending',
    'cancelled / pending cancelled', false),
('pending', 'partially_refunded', null, null, 'unchanged pending / pending',
    'pending polled / pending processing', false),
('processing', 'pending', null, null, 'unchanged processing / pending',
    'processing polled / pending processing', false),
('processing', 'processing', null, null, 'unchanged processing / pending',
    'processing polled / pending processing', false),
('processing', 'paid', null, null, 'applied paid / paid', 'paid winner / paid paid', true),
('processing', 'failed', null, null, 'applied failed / pending', 'failed / pending failed', false),
('processing', 'cancelled', null, null, 'applied cancelled / pending',
    'cancelled / pending cancelled', false),
('processing', 'refunded', null, null, 'applied cancelled / pending',
    'cancelled / pending cancelled', false),
('processing', 'partially_refunded', null, null, 'unchanged processing / pending',
    'processing polled / pending processing', false),
-- an attempt that ended: only money is still news
('failed', 'pending', null, null, 'unchanged failed / pending', 'failed / pending failed', false),
('failed', 'processing', null, null, 'unchanged failed / pending', 'failed / pending failed',
    false),
('failed', 'failed', null, null, 'unchanged failed / pending', 'failed / pending failed', false),
('failed', 'cancelled', null, null, 'unchanged failed / pending', 'failed / pending failed', false),
('failed', 'refunded', null, null, 'unchanged failed / pending', 'failed / pending failed', false),
('failed', 'paid', null, null, 'applied paid / paid', 'paid winner / paid paid', true),
('cancelled', 'pending', null, null, 'unchanged cancelled / pending',
    'cancelled / pending cancelled', false),
('cancelled', 'processing', null, null, 'unchanged cancelled / pending',
    'cancelled / pending cancelled', false),
('cancelled', 'failed', null, null, 'unchanged cancelled / pending',
    'cancelled / pending cancelled', false),
('cancelled', 'cancelled', null, null, 'unchanged cancelled / pending',
    'cancelled / pending cancelled', false),
('cancelled', 'refunded', null, null, 'unchanged cancelled / pending',
    'cancelled / pending cancelled', false),
('cancelled', 'paid', null, null, 'applied paid / paid', 'paid winner / paid paid', true),
-- money that is not what was asked for
('pending', 'paid', 30499.99, null, 'quarantined pending / pending',
    'pending polled has 30499.99 XAF / pending processing ! amount_mismatch', false),
('processing', 'paid', 30501, null, 'quarantined processing / pending',
    'processing polled has 30501.00 XAF / pending processing ! amount_mismatch', false),
('processing', 'paid', null, 'ZAR', 'quarantined processing / pending',
    'processing polled has 30500.00 ZAR / pending processing ! currency_mismatch', false),
('processing', 'paid', 1000, 'ZAR', 'quarantined processing / pending',
    'processing polled has 1000.00 ZAR / pending processing ! currency_mismatch', false),
('failed', 'paid', 1, null, 'quarantined failed / pending',
    'failed has 1.00 XAF / pending failed ! amount_mismatch', false),
-- what is no money at all is kept as the gateway's word, not as a sum
('processing', 'paid', null, 'xaf', 'quarantined processing / pending',
    'processing polled / pending processing ! currency_mismatch', false),
('processing', 'paid', 0, null, 'quarantined processing / pending',
    'processing polled / pending processing ! amount_mismatch', false),
('processing', 'paid', -30500, null, 'quarantined processing / pending',
    'processing polled / pending processing ! amount_mismatch', false),
('processing', 'paid', 30500.001, null, 'quarantined processing / pending',
    'processing polled / pending processing ! amount_mismatch', false),
('processing', 'paid', 123456789012, null, 'quarantined processing / pending',
    'processing polled / pending processing ! amount_mismatch', false),
('processing', 'paid', 'NaN', null, 'quarantined processing / pending',
    'processing polled / pending processing ! amount_mismatch', false),
-- money in quarantine: only the right money is still news, the rest is a person's
('quarantined', 'paid', 1, null, 'quarantined pending / pending',
    'pending polled has 1.00 XAF / pending processing ! amount_mismatch', false),
('quarantined', 'paid', 2, null, 'quarantined pending / pending',
    'pending polled has 2.00 XAF / pending processing ! amount_mismatch', false),
('quarantined', 'paid', 1, 'ZAR', 'quarantined pending / pending',
    'pending polled has 1.00 ZAR / pending processing ! amount_mismatch, currency_mismatch',
    false),
('quarantined', 'paid', 0, null, 'quarantined pending / pending',
    'pending polled has 1.00 XAF / pending processing ! amount_mismatch', false),
('quarantined', 'processing', null, null, 'applied processing / pending',
    'processing polled has 1.00 XAF / pending processing ! amount_mismatch', false),
('quarantined', 'paid', null, null, 'applied paid / paid',
    'paid winner / paid paid (amount_mismatch)', true),
('quarantined', 'failed', null, null, 'unchanged pending / pending',
    'pending polled has 1.00 XAF / pending processing ! amount_mismatch', false),
('quarantined', 'cancelled', null, null, 'unchanged pending / pending',
    'pending polled has 1.00 XAF / pending processing ! amount_mismatch', false);

create function tests.run(place bigint, given tests.matrix) returns setof text
language plpgsql as $$
declare
    v_name text := 'matrix-' || place;
    v_title text := format(
        '%s, then %s %s %s', given.state, given.answer, given.amount, given.currency
    );
    v_pattern text := 'box \d+/(\d+), code (\d+)\+\d+, stats (\d+), mails (\d+)';
    v_before text;
    v_after text;
    v_says text;
begin
    perform tests.attempt_in(v_name, given.state);
    v_before := tests.books();
    v_says := tests.says(tests.apply(v_name, given.answer, given.amount, given.currency));
    v_after := tests.books();
    return next is(
        concat_ws('; ', v_says, tests.state_of(v_name)),
        concat_ws('; ', given.says, given.state_after),
        v_title
    );
    if given.settles then
        return next is(
            regexp_match(v_after, v_pattern)::integer [],
            (
                select array[m[1] - 10, m[2] + 1, m[3] + 1, m[4] + 1]
                from (
                    select regexp_match(v_before, v_pattern)::integer [] as m
                ) as b
            ),
            v_title || ': the order is settled, once'
        );
    else
        return next is(v_after, v_before, v_title || ': stock, code, statistics and mails stay');
    end if;
end
$$;
select r.line
from (select row_number() over () as place, m as given from tests.matrix as m) as m
cross join lateral tests.run(m.place, m.given) as r (line)
order by m.place;

-- An answer without an amount ---------------------------------------------------------------------

select tests.attempt_in('no-amount', 'processing');
select is(
    tests.says(tests.as_service(format(
        'service.apply_payment_result(%L, ''paid'', %L, %L, null, null, null, ''poll'', null)',
        tests.id('no-amount'), a.amount, a.currency
    ))),
    'quarantined processing / pending',
    format('paid %L %L is quarantined', a.amount, a.currency)
)
from (values (null, 'XAF'), (30500, null), (null, null)) as a (amount, currency);
select results_eq(
    $$ select e.kind, e.amount, e.currency, e.detail from private.payment_exceptions as e
       where e.payment_id = tests.id('no-amount') order by e.kind $$,
    $$ values
       ('amount_mismatch', 30500.00, 'XAF', 'gateway says nothing XAF, order says 30500.00 XAF'),
       ('currency_mismatch', 30500.00, 'XAF', 'gateway says 30500 , order says 30500.00 XAF') $$,
    'each once before a person, with what was said and what was asked for'
);
select is((tests.payment('no-amount')).evidence_at, now(), 'that the gateway answered is kept');
select is((tests.payment('no-amount')).collected_amount, null, 'a sum that nobody named is not');

-- Money in quarantine -----------------------------------------------------------------------------

select tests.make_admin('chioma');
select tests.attempt_in('odd', 'processing');
delete from private.outbox;
select is(
    tests.says(tests.apply('odd', 'paid', 30000, gateway_transaction_id => 'KPY-odd', fee => 300)),
    'quarantined processing / pending', 'given money of another sum'
);
select results_eq(
    $$ select p.status::text, p.is_winner, p.paid_at, p.collected_amount, p.collected_currency,
           p.evidence_at
       from tests.payment('odd') as p $$,
    $$ values ('processing', false, null::timestamptz, 30000.00, 'XAF', now()) $$,
    'what came is kept with its attempt, which has not paid'
);
select results_eq(
    $$ select e.order_id, e.gateway, e.amount, e.currency, e.detail, e.evidence
       from private.payment_exceptions as e where e.payment_id = tests.id('odd') $$,
    $$ values (tests.id('order-odd'), 'kora', 30000.00, 'XAF',
           'gateway says 30000 XAF, order says 30500.00 XAF',
           '{"gateway_transaction_id": "KPY-odd"}'::jsonb) $$,
    'and stands before a person with its sum and the gateway''s transaction'
);
select results_eq(
    $$ select e.template, o.job from private.emails as e
       inner join private.outbox as o on o.args ->> 'email_id' = e.id::text
       where e.user_id = tests.id('chioma') $$,
    $$ values ('exception_opened', 'send_email') $$,
    'who is told by mail, once'
);
select tests.remember();
select is(
    tests.says(tests.apply('odd', 'paid', 30000, gateway_transaction_id => 'KPY-odd', fee => 300)),
    'quarantined processing / pending', 'said again'
);
select is(
    tests.changed_tables(), 'private.payment_events', 'only the trail grows'
);

-- How an attempt ended ----------------------------------------------------------------------------

select tests.attempt_in('declined', 'processing');
select is(
    tests.apply('declined', 'failed', reason => E'Insufficient\r\nfunds' || repeat('!', 400))
        ->> 'failure_reason',
    'Insufficient funds' || repeat('!', 282),
    'the reason is one line of at most 300 characters'
);
select results_eq(
    $$ select e.kind, e.from_status::text, e.to_status::text, e.actor_type, e.actor_id,
           char_length(e.note)
       from public.order_events as e
       where e.order_id = tests.id('order-declined')
           and e.kind not in ('placed', 'payment_begun') $$,
    $$ values ('payment_failed', null, null, 'gateway', null::uuid, 300) $$,
    'one event says that it failed and why'
);
select tests.attempt_in('quoted', 'processing');
select is(
    tests.apply('quoted', 'failed', reason => 'card 4111 1111 1111 1111 declined, code 51')
        ->> 'failure_reason',
    'card … … … … declined, code …', 'a reason that quotes a card number loses its numbers'
);
select is(
    (select string_agg(e.note, ', ') from public.order_events as e
     where e.order_id = tests.id('order-quoted') and e.kind = 'payment_failed'),
    'card … … … … declined, code …', 'in the event, too'
);
select tests.attempt_in('numbered', 'processing');
select is(
    tests.apply('numbered', 'failed', reason => 'transaction 4111111111111112 declined')
        ->> 'failure_reason',
    'transaction 4111111111111112 declined', 'another long number stays'
);
select is(
    (select count(*) from private.payment_events as e
     where private.holds_card_number(e.detail::text)),
    0::bigint, 'and no trail holds one'
);
select count(tests.apply('declined', 'paid'));
select is(
    (tests.payment('declined')).failure_reason, null, 'money that came after all takes it back'
);
select tests.attempt_in('by-hand', 'processing');
select is(
    tests.says(tests.apply('by-hand', 'cancelled', source => 'operator')),
    'applied cancelled / pending', 'an operator ends an attempt'
);
select is(
    (select e.actor_type from public.order_events as e
     where e.order_id = tests.id('order-by-hand') and e.kind = 'payment_cancelled'),
    'system', 'and the event does not say that the gateway did'
);

-- Two attempts ------------------------------------------------------------------------------------

-- How an attempt's money goes back.
create function tests.returned(name text) returns text
language sql stable security definer as $$
    select string_agg(
        concat_ws(' ', r.gateway, r.way, r.amount, r.tax_amount, r.currency, r.status, r.reason,
            case when o.id is not null then 'sent' end),
        '; ' order by r.created_at
    )
    from public.refunds as r
    left join private.outbox as o
        on o.job = 'send_refund' and o.args = jsonb_build_object('refund_id', r.id)
    where r.payment_id = tests.id(returned.name) and r.requested_by is null
$$;
-- The gateway gives an attempt's money back.
create function tests.give_back(name text) returns text
language sql as $$
    select tests.as_service(format(
        'service.apply_refund_result(%L, ''refunded'', %s, %L, null, null, ''poll'', null)',
        r.id, r.amount, r.currency
    )) ->> 'outcome'
    from public.refunds as r where r.payment_id = tests.id(give_back.name)
$$;
delete from private.emails where user_id = tests.id('chioma');

select tests.order_of('twice');
select count(tests.begin_payment('twice-1', 'twice'));
select count(tests.begin_payment('twice-2', 'twice', 'mtn_momo', '+237650000000', '{kora}'));
select count(tests.begin_payment('twice-3', 'twice', 'mtn_momo', '+237650000000', '{mtn}'));
select is(tests.says(tests.apply('twice-1', 'failed')), 'applied failed / pending',
    'one of three attempts fails');
select is(
    tests.state_of('twice-1'), 'failed / pending processing', 'the order is being paid still'
);
select is(tests.says(tests.apply('twice-2', 'paid')), 'applied paid / paid', 'the second pays it');
create table tests.books_before as select tests.books() as books;
select is(tests.says(tests.apply('twice-3', 'paid')), 'applied paid / paid',
    'the third is paid as well');
select is(tests.says(tests.apply('twice-1', 'paid')), 'applied paid / paid',
    'and so is the first, after all');
select is(tests.state_of(n.name), n.state, format('%s: %s', n.name, n.state))
from (
    values
    ('twice-1', 'paid / paid paid ! duplicate_payment'),
    ('twice-2', 'paid winner / paid paid'),
    ('twice-3', 'paid / paid paid ! duplicate_payment')
) as n (name, state);
select is(tests.books(), (select b.books from tests.books_before as b),
    'the goods left once, the code counted once, one mail went out');
select is(
    (select string_agg(e.detail, ', ') from private.payment_exceptions as e
     where e.payment_id in (tests.id('twice-1'), tests.id('twice-3'))),
    'order is paid, order is paid', 'the two others stand before a person'
);
select is(tests.returned(r.name), r.returned, format('%s: %s', r.name, r.title))
from (
    values
    ('twice-1', 'kora gateway 30500.00 0.00 XAF pending paid_without_effect sent',
        'its money goes back by itself, untaxed: it bought nothing'),
    ('twice-2', null, 'what paid the order stays'),
    ('twice-3', 'mtn gateway 30500.00 0.00 XAF pending paid_without_effect sent',
        'at its own gateway')
) as r (name, returned, title);
select is(
    (select array_agg(e.evidence ->> 'refund_id' order by e.payment_id)
     from private.payment_exceptions as e
     where e.payment_id in (tests.id('twice-1'), tests.id('twice-3'))),
    (select array_agg(r.id::text order by r.payment_id) from public.refunds as r
     where r.payment_id in (tests.id('twice-1'), tests.id('twice-3'))),
    'the row of the desk names the refund'
);
select is(
    (select count(*) from private.emails as e where e.user_id = tests.id('chioma')), 0::bigint,
    'no admin is called for what mends itself'
);
select tests.remember();
select is(tests.says(tests.apply('twice-3', 'paid')), 'unchanged paid / paid', 'once');
select tests.nothing_changed('however often it is said');
select is(tests.give_back('twice-3'), 'applied', 'when its money went back');
select is(tests.state_of('twice-3'), 'refunded / paid paid (duplicate_payment)',
    'the attempt is refunded, nobody has to look at it, and the order stays paid');
select is(
    regexp_replace(tests.books(), ', messages .*', ''),
    (select regexp_replace(b.books, ', messages .*', '') from tests.books_before as b),
    'with its goods, its code and its mail'
);
select results_eq(
    $$ select n.kind, n.data from public.notifications as n
       where n.user_id = tests.id('amina') and n.kind = 'refund_sent' $$,
    $$ values ('refund_sent', jsonb_build_object(
           'order_id', tests.id('twice'), 'amount', 30500.00, 'currency', 'XAF')) $$,
    'a message says so to her'
);
select is(
    (select count(*) from private.emails as e
     inner join public.refunds as r on e.refund_id = r.id
     where e.template = 'refund_sent' and r.payment_id = tests.id('twice-3')),
    1::bigint, 'and a mail'
);
select is(tests.says(tests.apply('twice-3', 'refunded', source => 'poll')),
    'unchanged refunded / paid', 'the gateway''s word that it went back is no news');
select is(tests.says(tests.apply('twice-1', 'refunded', source => 'poll')),
    'unchanged paid / paid', 'nor is it while it is on its way');

-- One page paid on twice --------------------------------------------------------------------------

select tests.order_of('page');
select count(tests.begin_payment('page-1', 'page'));
select count(tests.apply('page-1', 'paid', gateway_transaction_id => 'KPY-page-1'));
update tests.books_before set books = tests.books();
create table tests.page_before as
select p.id from public.payments as p where p.order_id = tests.id('page');
select is(
    tests.says(tests.apply('page-1', 'paid', gateway_transaction_id => 'KPY-page-2', fee => 350)),
    'applied paid / paid', 'a second transaction on a paid page is applied'
);
select tests.name_it('page-2', p.id)
from public.payments as p
where p.order_id = tests.id('page') and p.id not in (select b.id from tests.page_before as b);
select results_eq(
    $$ select p.status::text, p.is_winner, p.gateway, p.method, p.gateway_transaction_id,
           p.collected_amount, p.collected_currency, p.fee_amount, p.superseded_at,
           p.next_check_at, p.reference ~ '^mg-[0-9a-f]{24}$'
       from tests.payment('page-2') as p $$,
    $$ values ('paid', false, 'kora', 'kora_checkout', 'KPY-page-2', 30500.00, 'XAF', 350.00,
           now(), null::timestamptz, true) $$,
    'as an attempt of its own, which did not win'
);
select is(
    (tests.payment('page-1')).gateway_transaction_id, 'KPY-page-1', 'the first is as it was'
);
select is(tests.state_of('page-1'), 'paid winner / paid paid', 'and has paid the order');
select is(tests.state_of('page-2'), 'paid / paid paid ! duplicate_payment',
    'the second stands on the desk');
select is(tests.returned('page-2'),
    'kora gateway 30500.00 0.00 XAF pending paid_without_effect sent', 'and goes back by itself');
select is(tests.books(), (select b.books from tests.books_before as b),
    'the goods left once, the code counted once, one mail went out');
select tests.remember();
select is(
    tests.says(tests.apply('page-1', 'paid', o.amount, o.currency, o.transaction)),
    'unchanged paid / paid', o.title || ' is no other money'
)
from (
    values
    (null::numeric, null, 'KPY-page-2', 'the second transaction, said again,'),
    (null, null, 'KPY-page-1', 'the first transaction'),
    (1, null, 'KPY-page-1', 'another sum of the first transaction'),
    (null, null, 'KPY-1', 'a transaction of another order'),
    (0, null, 'KPY-page-3', 'a transaction of nothing'),
    (5, 'xaf', 'KPY-page-3', 'a transaction of no currency'),
    (null, null, null, 'money without a transaction')
) as o (amount, currency, transaction, title);
select tests.nothing_changed('and none of these changed a row');
select is(
    tests.says(tests.apply('page-1', 'paid', 25, 'ZAR', 'KPY-page-4')), 'applied paid / paid',
    'a third transaction of another sum and currency'
);
select is(
    (select string_agg(concat_ws(' ', r.way, r.amount, r.currency, r.status), '; ')
     from public.refunds as r
     inner join public.payments as p on r.payment_id = p.id
     where p.gateway_transaction_id = 'KPY-page-4'),
    'gateway 25.00 ZAR pending', 'goes back as what it was'
);

-- Where the rail cannot give money back -----------------------------------------------------------
-- given orders that bola paid twice, one in South Africa and two in Cameroon

select tests.make_user('bola', 'fr', 'CM');
select tests.make_product('lamp');
select tests.place_order(o.name, 'bola', jsonb_build_array(tests.item('lamp', 1)), o.country)
from (values ('hands', 'ZA'), ('phone', 'CM'), ('voice', 'CM')) as o (name, country);
select count(tests.begin_payment(p.name, p.order_name, p.method, p.phone, array[p.gateway]))
from (
    values
    ('hands-1', 'hands', 'kora_checkout', null, 'kora'),
    ('hands-2', 'hands', 'card', null, 'paygate'),
    ('phone-1', 'phone', 'kora_checkout', null, 'kora'),
    ('phone-2', 'phone', 'orange_money', null, 'orange'),
    ('voice-1', 'voice', 'kora_checkout', null, 'kora'),
    ('voice-2', 'voice', 'orange_money', null, 'orange')
) as p (name, order_name, method, phone, gateway);
-- Orange's page does not say who paid; once it is known, money can be paid out to them
update public.payments set payer_account = '+237690000000' where id = tests.id('voice-2');
select count(tests.apply(n.name, 'paid'))
from (
    values ('hands-1'), ('hands-2'), ('phone-1'), ('phone-2'), ('voice-1'), ('voice-2')
) as n (name);
select is(tests.state_of(n.name), n.state, format('%s: %s', n.name, n.state))
from (
    values
    ('hands-2', 'paid / paid paid ! duplicate_payment'),
    ('phone-2', 'paid / paid paid ! duplicate_payment'),
    ('voice-2', 'paid / paid paid ! duplicate_payment')
) as n (name, state);
select is(tests.returned(r.name), r.returned, format('%s: %s', r.name, r.title))
from (
    values
    ('hands-2', null, 'PayGate gives nothing back by itself: a person decides'),
    ('phone-2', null, 'without the payer''s account nothing can be paid out'),
    ('voice-2', 'kora payout 8500.00 0.00 XAF pending paid_without_effect sent',
        'with it, another rail pays it out')
) as r (name, returned, title);
select results_eq(
    $$ select n.name
       from private.emails as e
       inner join private.payment_exceptions as x on e.exception_id = x.id
       inner join tests.names as n on x.payment_id = n.id
       where e.user_id = tests.id('chioma') and e.template = 'exception_opened'
       order by n.name $$,
    $$ values ('hands-2'), ('phone-2') $$,
    'of what does not mend itself the admin is told'
);

select tests.order_of('late-failure');
select count(tests.begin_payment('late-1', 'late-failure'));
select count(tests.begin_payment('late-2', 'late-failure', 'mtn_momo', '+237650000000', '{kora}'));
select count(tests.apply('late-1', 'paid'));
select is(tests.says(tests.apply('late-2', 'failed')), 'applied failed / paid',
    'an attempt that fails after another one paid has failed');
select is(tests.state_of('late-1'), 'paid winner / paid paid', 'and the order stays paid');

-- Money after the order was cancelled -------------------------------------------------------------

select tests.order_of('regretted');
select count(tests.begin_payment('regretted-1', 'regretted'));
select count(
    tests.begin_payment('regretted-2', 'regretted', 'mtn_momo', '+237650000000', '{kora}')
);
select tests.act_as('amina');
select count(public.cancel_order(tests.id('regretted')));
select tests.act_as_owner();
select tests.order_of('expired');
select count(tests.begin_payment('expired-1', 'expired'));
update public.orders set expires_at = now() where id = tests.id('expired');
select tests.as_service(format('service.release_order_hold(%L)', tests.id('expired')));
update tests.books_before set books = tests.books();

select is(tests.says(tests.apply('regretted-1', 'paid')), 'applied paid / cancelled',
    'money for an order its owner cancelled is kept with its attempt');
select is(tests.says(tests.apply('expired-1', 'paid')), 'applied paid / cancelled',
    'and so is money for an order that had expired');
select is(tests.says(tests.apply('regretted-2', 'failed')), 'applied failed / cancelled',
    'an attempt for a cancelled order still fails');
select is(tests.state_of(n.name), n.state, format('%s: %s', n.name, n.state))
from (
    values
    ('regretted-1', 'paid / cancelled processing ! late_payment'),
    ('regretted-2', 'failed / cancelled processing'),
    ('expired-1', 'paid / cancelled processing ! late_payment')
) as n (name, state);
select is(
    (select string_agg(o.cancel_reason, ', ' order by o.cancel_reason) from public.orders as o
     where o.id in (tests.id('regretted'), tests.id('expired')) and o.paid_at is null),
    'cancelled_by_customer, payment_expired', 'the orders stay cancelled and unpaid'
);
select is(tests.returned(n.name),
    'kora gateway 30500.00 0.00 XAF pending paid_without_effect sent',
    format('%s: the money goes back by itself', n.name))
from (values ('regretted-1'), ('expired-1')) as n (name);
select is(tests.books(), (select b.books from tests.books_before as b),
    'no goods leave, no code is counted, no mail goes out');
select tests.remember();
select is(tests.says(tests.apply('expired-1', 'paid')), 'unchanged paid / cancelled', 'said again');
select tests.nothing_changed('it changes nothing');
select is(tests.give_back('expired-1'), 'applied', 'when it went back');
select is(tests.state_of('expired-1'), 'refunded / cancelled processing (late_payment)',
    'nobody has to look at it any more');

-- given an order past its time that nobody has released yet
select tests.order_of('overdue');
select count(tests.begin_payment('overdue-1', 'overdue'));
update public.orders set expires_at = now() - interval '10 minutes' where id = tests.id('overdue');
select is(tests.says(tests.apply('overdue-1', 'paid')), 'applied paid / paid',
    'money that comes while the goods are still held pays the order');

-- Bad input ---------------------------------------------------------------------------------------

select tests.remember();
select tests.act_as_service();
select tests.refuses(
    'select service.apply_payment_result(gen_random_uuid(), ''paid'', 1, ''XAF'', null, null, '
    'null, ''webhook'', null)',
    'PT404 payment_not_found', 'an unknown attempt is not found'
);
select tests.refuses(
    'select service.apply_payment_result(null, ''paid'', 1, ''XAF'', null, null, null, '
    '''webhook'', null)',
    'PT404 payment_not_found', 'no attempt is not found', ''
);
select throws_ok(
    'select ' || tests.apply_sql('twice-1', 'settled'), '22P02', null,
    'a word that is no status is no answer'
);
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');

-- The books, all of them --------------------------------------------------------------------------

select is_empty(
    $$ select o.id from public.orders as o
       where (o.status = 'paid') <> exists (
           select from public.payments as p where p.order_id = o.id and p.is_winner)
           and o.user_id = tests.id('amina') $$,
    'an order is paid if and only if one attempt won'
);
select is_empty(
    $$ select p.id from public.payments as p
       where p.paid_at is not null and not p.is_winner and p.user_id = tests.id('amina')
           and not exists (
               select from private.payment_exceptions as e
               where e.payment_id = p.id and e.kind in ('late_payment', 'duplicate_payment')) $$,
    'money that did not pay an order stands before a person'
);
select is(
    (select array[
        1000 - s.on_hand, s.reserved, p.usage_count - p.reserved_count,
        (select count(*) from public.affiliate_stats as a where a.promo_code_id = p.id)::integer
            - p.usage_count
     ]
     from public.product_stock as s, public.promo_codes as p
     where s.listing_id = tests.id('shoe') and p.id = tests.id('PAT10')),
    (select array[
        count(*) filter (where o.status = 'paid'), count(*) filter (where o.status = 'pending'),
        count(*) filter (where o.status = 'paid') - count(*) filter (where o.status = 'pending'), 0
     ]::integer []
     from public.orders as o where o.user_id = tests.id('amina')),
    'every paid order took its goods and its use, every pending one holds them'
);

select * from finish();
rollback;
