-- A refund on its way: told to its rail once, asked about until it ends, never sent twice, and
-- before a person when nobody can tell, when it fails, or when more went back than came.
begin;
\ir ../_helpers.psql
\ir _payments.psql
\ir _refunds.psql
select plan(150);

-- given amina, an admin, and orders of 8500 XAF or more
select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('chioma');
select tests.make_product('shoe', 1000, 100.00, 5000);
select tests.make_product('hat', 1000, 33.30, 1500);

create function tests.paid_order(
    name text,
    method text default 'kora_checkout',
    phone text default null,
    gateway text default 'kora',
    items jsonb default null
)
returns text
language plpgsql as $$
begin
    perform tests.place_order(
        paid_order.name, 'amina',
        coalesce(paid_order.items, jsonb_build_array(tests.item('shoe', 1)))
    );
    perform tests.begin_payment(
        paid_order.name || '-payment', paid_order.name, paid_order.method, paid_order.phone,
        array[paid_order.gateway]
    );
    return tests.apply(
        paid_order.name || '-payment', 'paid',
        gateway_transaction_id => 'T-' || paid_order.name
    ) ->> 'payment_status';
end
$$;
-- status of the refund, whether it was sent, how often it was asked about, and when next
create function tests.refund_state(name text) returns text
language sql stable security definer as $$
    select concat_ws(
        ' ', r.status, case when r.sent_at is not null then 'sent' end, r.checks,
        case when r.next_check_at is not null then 'next ' || (r.next_check_at - now())::text end,
        '! ' || (select string_agg(
            e.kind || case when e.resolved_at is not null then ' ' || e.resolution else '' end, ', '
            order by e.kind
        ) from private.payment_exceptions as e where e.refund_id = r.id)
    )
    from public.refunds as r where r.id = tests.id(refund_state.name)
$$;
create function tests.check_refund(name text, outcome text) returns jsonb
language sql as $$
    select tests.as_service(format(
        'service.record_refund_check(%L, %L)', tests.id(check_refund.name), check_refund.outcome
    ))
$$;
create function tests.refused(name text, code text, reason text) returns jsonb
language sql as $$
    select tests.as_service(format(
        'service.record_refund_refused(%L, %L, %L)', tests.id(refused.name), refused.code,
        refused.reason
    ))
$$;
-- What waits for the relay, and the relay taking it: a job that has begun plans the next.
create function tests.work() returns setof text
language sql stable security definer as $$
    select concat_ws(
        ' ', o.job, tests.name_of((o.args ->> 'refund_id')::uuid), o.available_at - now()
    ) as line
    from private.outbox as o
    where o.job in ('send_refund', 'check_refund') and o.done_at is null
    order by line
$$;
create function tests.work_is_begun() returns void
language sql security definer as $$
    update private.outbox set done_at = now() where done_at is null
$$;

-- Told to the rail --------------------------------------------------------------------------------

select is(tests.paid_order('order', 'mtn_momo', '+237650000000', 'mtn'), 'paid', 'given a payment');
select count(tests.refund('refund', 'order-payment', 3000));
select results_eq(
    'select tests.work()', $$ values ('send_refund refund 00:00:00') $$, 'given work to send it'
);
select tests.work_is_begun();
create table tests.answers as select tests.send_refund('refund') as answer;
select is(
    (select a.answer - 'reference' - 'recipient_email' from tests.answers as a),
    (
        select jsonb_build_object(
            'refund_id', tests.id('refund'), 'payment_id', p.id, 'order_id', tests.id('order'),
            'gateway', 'mtn', 'way', 'gateway', 'amount', 3000.00, 'tax_amount', 484.00,
            'currency', 'XAF', 'status', 'processing', 'reason', 'Scratched',
            'failure_reason', null, 'items', '[]'::jsonb, 'created_at', to_jsonb(now()),
            'refunded_at', null, 'is_first', true, 'is_ended', false, 'country', 'CM',
            'language', 'fr', 'order_number', o.order_number, 'payment_reference', p.reference,
            'gateway_transaction_id', 'T-order', 'gateway_refund_id', null,
            'webhook_token', t.webhook_token, 'account', null, 'channel', null,
            'institution', null, 'recipient_name', 'Amina Test'
        )
        from tests.payment('order-payment') as p
        inner join public.orders as o on p.order_id = o.id
        inner join private.payment_tokens as t on p.id = t.payment_id
    ),
    'the first attempt hears all that a rail asks for'
);
select is(
    (select a.answer ->> 'recipient_email' from tests.answers as a),
    (select u.email from public.users as u where u.id = tests.id('amina')),
    'and whose money it is'
);
select is(
    tests.refund_state('refund'), 'processing sent 1 next 00:00:15',
    'it is marked sent before it is, and will be asked about in 15 seconds'
);
select results_eq(
    'select tests.work()', $$ values ('check_refund refund 00:00:15') $$,
    'by a job that waits in the outbox'
);
select tests.remember();
select is(
    tests.send_refund('refund'),
    (select a.answer || '{"is_first": false}' from tests.answers as a),
    'a second attempt hears the same, and that it is not the first'
);
select tests.nothing_changed('and changes nothing');
select tests.refuses(
    format(
        'select tests.as_service(%L)', format('service.begin_refund_attempt(%L)', i.id)
    ),
    'PT404 refund_not_found', 'a refund that is none cannot be sent'
)
from (values (gen_random_uuid()), (tests.id('order'))) as i (id);
select tests.act_as_owner();

-- a transfer to the handset that paid
select is(
    tests.paid_order('orange', 'orange_money', null, 'orange'), 'paid',
    'given a payment by Orange'
);
update public.payments set payer_account = '+237690000000' where id = tests.id('orange-payment');
select count(tests.refund('orange-refund', 'orange-payment'));
select is(
    tests.send_refund('orange-refund') - array[
        'refund_id', 'payment_id', 'order_id', 'reference', 'recipient_email', 'created_at',
        'webhook_token', 'payment_reference', 'order_number', 'language', 'country', 'reason',
        'items', 'recipient_name'
    ],
    '{"gateway": "kora", "way": "payout", "amount": 8500.00, "tax_amount": 1372.00,
      "currency": "XAF", "status": "processing", "failure_reason": null, "refunded_at": null,
      "is_first": true, "is_ended": false, "gateway_transaction_id": "T-orange",
      "gateway_refund_id": null, "account": "+237690000000", "channel": "mobile_money",
      "institution": "orange"}',
    'a transfer names the account, its channel and its operator'
);

-- one that a person makes is not sent
select is(
    tests.paid_order('by-hand', 'orange_money', null, 'orange'), 'paid',
    'given a payment whose account nobody knows'
);
select count(tests.refund('by-hand-refund', 'by-hand-payment'));
select tests.remember();
select is(
    tests.send_refund('by-hand-refund')
    @> '{"way": "manual", "is_first": false, "is_ended": false}',
    true,
    'what waits for a person is nobody''s first attempt'
);
select tests.nothing_changed('and stays where it is');

-- Asked about -------------------------------------------------------------------------------------

select is(
    tests.check_refund('refund', 'pending'),
    jsonb_build_object('next_check_at', now() + interval '15 seconds'),
    'a check that is planned already is moved, not doubled'
);
select results_eq(
    'select tests.work()',
    $$ values ('check_refund orange-refund 00:00:15'), ('check_refund refund 00:00:15'),
           ('send_refund orange-refund 00:00:00') $$,
    'there is one a refund'
);
create function tests.polls(name text, times integer) returns text
language plpgsql as $$
declare
    v_waits text [] := '{}';
begin
    for v_time in 1 .. times loop
        perform tests.work_is_begun();
        v_waits := v_waits || (
            (tests.check_refund(polls.name, 'pending') ->> 'next_check_at')::timestamptz - now()
        )::text;
    end loop;
    return array_to_string(v_waits, ', ');
end
$$;
select is(
    tests.polls('refund', 8),
    '00:00:15, 00:01:00, 00:05:00, 00:15:00, 00:30:00, 01:00:00, 01:00:00, 01:00:00',
    'polls are close at first, then hourly'
);
select is(
    tests.refund_state('refund'), 'processing sent 9 next 01:00:00', 'each is counted'
);
select is(
    tests.refund_result('refund', 'pending', null, null, 'MR-1') ->> 'outcome', 'unchanged',
    'the rail''s word that it is under way changes nothing'
);
select is(
    (tests.refund_row('refund')).gateway_refund_id, 'MR-1', 'but its name for it is kept'
);
select is(
    tests.refund_result('refund', 'pending', null, null, 'MR-2') ->> 'outcome', 'unchanged',
    'another name is not'
);
select is((tests.refund_row('refund')).gateway_refund_id, 'MR-1', 'the first stays');
update public.refunds set created_at = now() - interval '72 hours'
where id = tests.id('refund');
select is(
    tests.polls('refund', 1), '01:00:00', 'to the last minute of three days'
);
update public.refunds set created_at = now() - interval '72 hours 1 second'
where id = tests.id('refund');
select tests.work_is_begun();
select is(
    tests.check_refund('refund', 'unavailable'), '{"next_check_at": null}', 'then no more'
);
select is(
    tests.refund_state('refund'), 'processing sent 10 ! unknown_refund', 'it stands before a person'
);
select results_eq(
    $$ select e.detail, e.amount, e.currency, e.gateway, e.payment_id, e.order_id
       from tests.exception('unknown_refund', 'refund') as e $$,
    $$ values ('unavailable', 3000.00, 'XAF', 'mtn', tests.id('order-payment'),
           tests.id('order')) $$,
    'with what is known'
);
select is_empty('select tests.work()', 'and no more work is planned');
select tests.books_hold('a refund that a person looks after is no breach');

-- when the rail says at last that it was done
select is(
    tests.refund_result('refund', 'refunded', 3000, 'XAF', 'MR-1') ->> 'outcome', 'applied',
    'an answer that comes still is taken'
);
select is(
    tests.refund_state('refund'), 'refunded sent 10 ! unknown_refund settled',
    'and nobody needs to look at it'
);
select tests.remember();
select is(
    tests.check_refund('refund', 'pending'), '{"next_check_at": null}',
    'one that ended is not asked about'
);
select tests.nothing_changed('and nothing changes');
select is(
    tests.send_refund('refund') @> '{"is_first": false, "is_ended": true}', true,
    'nor sent: it is over'
);

-- Surely not taken --------------------------------------------------------------------------------

select is(tests.paid_order('shy'), 'paid', 'given another payment');
select count(tests.refund('shy-refund', 'shy-payment'));
select tests.work_is_begun();
create function tests.shy_attempt() returns text
language plpgsql as $$
declare
    v_is_first text := tests.send_refund('shy-refund') ->> 'is_first';
begin
    perform tests.work_is_begun();
    return v_is_first || ' ' || (
        (tests.check_refund('shy-refund', 'nothing_created') ->> 'next_check_at')::timestamptz
        - now()
    )::text;
end
$$;
select is(tests.shy_attempt(), 'true 00:00:15', 'what was surely not taken is tried again');
select is(
    tests.refund_state('shy-refund'), 'pending 2 next 00:00:15', 'as if it had not been sent'
);
select results_eq(
    'select tests.work()', $$ values ('check_refund shy-refund 00:00:15') $$, 'by a planned job'
);
select tests.work_is_begun();
select is(
    array[tests.shy_attempt(), tests.shy_attempt()], '{true 00:05:00,true 00:15:00}',
    'each attempt is a first one'
);
select is(
    (select count(*) from tests.work()), 1::bigint, 'and there is always one job for the next'
);
select is(
    tests.refund_state('shy-refund'), 'pending 5 next 00:15:00', 'which the row knows, too'
);
update public.refunds set next_check_at = now() - interval '16 minutes'
where id = tests.id('shy-refund');
update private.outbox set failed_at = now(), last_error = 'dead' where done_at is null;
select is(
    tests.as_service('service.claim_refund_sweep(100)'), jsonb_build_array(tests.id('shy-refund')),
    'when that job died the sweep finds it'
);
select is(
    tests.refund_state('shy-refund'), 'pending 6 next 00:30:00', 'and plans it anew'
);
select results_eq(
    $$ select o.dedupe_key from private.outbox as o
       where o.job = 'check_refund' and o.done_at is null and o.failed_at is null $$,
    $$ values ('check_refund/' || tests.id('shy-refund') || '/6') $$,
    'with a job of its own'
);
select is(tests.send_refund('shy-refund') ->> 'is_first', 'true', 'it goes out at last');
select is(
    tests.refund_result('shy-refund', 'refunded') ->> 'outcome', 'applied',
    'an answer without a sum is about ours'
);
select is(
    tests.money('shy'),
    '{shy-payment refunded winner 8500.00 XAF - 8500.00,'
    'shy-refund gateway kora refunded 8500.00 XAF tax 1372.00}',
    'and went back once'
);

-- The sweep ---------------------------------------------------------------------------------------

select is(tests.paid_order('swept', items => jsonb_build_array(tests.item('shoe', 3))), 'paid',
    'given another payment');
select count(tests.refund('swept-' || g, 'swept-payment', 1000)) from generate_series(1, 5) as g;
select count(tests.send_refund('swept-' || g)) from generate_series(1, 4) as g;
update private.outbox set failed_at = now(), last_error = 'dead'
where done_at is null and failed_at is null and job = 'check_refund';
-- one lost, one lost for days, one not due yet, one that failed; the fifth was never sent
update public.refunds set next_check_at = now() - interval '15 minutes 1 second'
where id = tests.id('swept-1');
update public.refunds
set next_check_at = now() - interval '3 days', created_at = now() - interval '73 hours'
where id = tests.id('swept-2');
update public.refunds set next_check_at = now() - interval '15 minutes'
where id = tests.id('swept-3');
select count(tests.refund_result('swept-4', 'failed', reason => 'No'));
select is(
    tests.as_service('service.claim_refund_sweep(1)'), jsonb_build_array(tests.id('swept-2')),
    'a sweep of one takes what waited longest'
);
select is(
    tests.as_service('service.claim_refund_sweep(100)'), jsonb_build_array(tests.id('swept-1')),
    'the next takes the rest'
);
select is(tests.as_service('service.claim_refund_sweep(100)'), '[]', 'then there is none');
select is(
    array(select tests.refund_state('swept-' || g) from generate_series(1, 5) as g),
    array[
        'processing sent 2 next 00:00:15',
        'processing sent 1 ! unknown_refund',
        'processing sent 1 next -00:15:00',
        'failed sent 1 ! failed_refund',
        'pending 0 next 00:00:00'
    ],
    'what was lost is asked about again, what is too old stands before a person'
);

-- Refused -----------------------------------------------------------------------------------------

create function tests.sent_refund(
    name text, method text, phone text, gateway text, payer text default null
)
returns void
language plpgsql as $$
begin
    perform tests.paid_order(sent_refund.name, method, phone, gateway);
    perform tests.refund(sent_refund.name || '-refund', sent_refund.name || '-payment');
    perform tests.send_refund(sent_refund.name || '-refund');
end
$$;
select tests.sent_refund(s.name, s.method, s.phone, s.gateway)
from (
    values
    ('u-mtn', 'mtn_momo', '+237650000000', 'mtn'), ('u-kora', 'kora_checkout', null, 'kora'),
    ('u-no', 'mtn_momo', '+237650000000', 'mtn')
) as s (name, method, phone, gateway);
delete from private.outbox;

-- the rail has no refunds, and the account is known
create table tests.refusals as
select 'u-mtn' as name, tests.refused('u-mtn-refund', 'refund_unsupported', 'No such product')
    as answer
union all
select 'u-kora', tests.refused('u-kora-refund', 'refund_unsupported', 'Not for this channel')
union all
select 'u-no', tests.refused('u-no-refund', 'refund_not_allowed', E'Payee\nis closed');
select tests.name_it('u-mtn-payout', r.id) from public.refunds as r
where r.payment_id = tests.id('u-mtn-payment') and r.way = 'payout';
select tests.name_it('u-kora-manual', r.id) from public.refunds as r
where r.payment_id = tests.id('u-kora-payment') and r.way = 'manual';
select is(
    tests.money('u-mtn'),
    '{u-mtn-payment paid winner 8500.00 XAF - 0.00,'
    'u-mtn-payout payout mtn pending 8500.00 XAF tax 1372.00,'
    'u-mtn-refund gateway mtn failed 8500.00 XAF tax 1372.00}',
    'a rail without refunds: the same sum goes as a transfer to the handset'
);
select is(
    (select r.answer ->> 'refund_id' from tests.refusals as r where r.name = 'u-mtn'),
    tests.id('u-mtn-payout')::text, 'the answer is the refund that counts now'
);
select is(
    (tests.refund_row('u-mtn-refund')).failure_reason, 'refund_unsupported: No such product',
    'the other says why'
);
select results_eq(
    $$ select o.job, o.dedupe_key from private.outbox as o
       where o.args ->> 'refund_id' = tests.id('u-mtn-payout')::text $$,
    $$ select 'send_refund', 'send_refund/' || tests.id('u-mtn-payout') $$,
    'and work sends it'
);
select is(
    tests.send_refund('u-mtn-payout') @>
    '{"is_first": true, "way": "payout", "account": "+237650000000", "institution": "mtn"}',
    true, 'as a transfer'
);
select is(tests.desk('u-mtn'), '{}', 'without troubling anybody');
select is(
    (tests.refund_row('u-mtn-payout')).requested_by, tests.id('chioma'),
    'it is still chioma who asked'
);
-- and no account is known
select is(
    tests.money('u-kora'),
    '{u-kora-payment paid winner 8500.00 XAF - 0.00,'
    'u-kora-manual manual kora pending 8500.00 XAF tax 1372.00,'
    'u-kora-refund gateway kora failed 8500.00 XAF tax 1372.00}',
    'without an account it waits for a person'
);
select is(tests.desk('u-kora'), '{manual_refund u-kora-manual open}', 'before whom it stands');
-- and any other refusal
select is(
    tests.money('u-no'),
    '{u-no-payment paid winner 8500.00 XAF - 0.00,'
    'u-no-refund gateway mtn failed 8500.00 XAF tax 1372.00}',
    'any other refusal ends it'
);
select results_eq(
    $$ select e.detail, e.resolved_at from tests.exception('failed_refund', 'u-no-refund') as e $$,
    $$ values ('refund_not_allowed: Payee is closed', null::timestamptz) $$,
    'before a person, with the rail''s words on one line'
);
select results_eq(
    $$ select e.kind, e.actor_type, e.detail from private.payment_events as e
       where e.refund_id = tests.id('u-no-refund') and e.kind = 'refund_failed' $$,
    $$ values ('refund_failed', 'gateway',
           '{"reason": "refund_not_allowed: Payee is closed"}'::jsonb) $$,
    'and in the trail'
);
select tests.remember();
select is(
    tests.refused(n.name, 'refund_unsupported', 'again') ->> 'status', n.status,
    n.name || ' refused again is as it was'
)
from (
    values ('u-no-refund', 'failed'), ('u-mtn-refund', 'failed'), ('shy-refund', 'refunded')
) as n (name, status);
select tests.nothing_changed('and nothing changes');
-- a transfer has no further way
select is(
    tests.refused('u-mtn-payout', 'refund_unsupported', 'No transfers') ->> 'status', 'failed',
    'a transfer that is refused as unsupported fails'
);
select is(
    tests.desk('u-mtn'), '{failed_refund u-mtn-payout open}', 'and stands before a person'
);
select is(
    tests.refused('swept-5', 'refund_unsupported', null) ->> 'way', 'manual',
    'one that was not sent yet may be refused, too'
);
select tests.books_hold('nothing is lost from the books');

-- Failed ------------------------------------------------------------------------------------------

select is(tests.paid_order('failing'), 'paid', 'given another payment');
select count(tests.refund('failing-refund', 'failing-payment'));
select count(tests.send_refund('failing-refund'));
select is(
    tests.refund_result('failing-refund', 'failed', null, null, null, E'Limit\treached')
        @> '{"outcome": "applied", "status": "failed", "failure_reason": "Limit reached"}',
    true, 'a failure is applied, in one line'
);
select is(
    tests.refund_state('failing-refund'), 'failed sent 1 ! failed_refund', 'before a person'
);
select is(
    (
        select count(*) from public.notifications as n
        where n.user_id = tests.id('amina') and n.data ->> 'order_id' = tests.id('failing')::text
            and n.kind = 'refund_sent'
    ),
    0::bigint, 'amina hears nothing of it'
);
select tests.remember();
select is(
    tests.refund_result('failing-refund', s.status) ->> 'outcome', 'unchanged',
    s.status || ' after that changes nothing'
)
from (values ('failed'), ('pending')) as s (status);
select tests.nothing_changed('no row of the shop is another one');
select is(
    tests.send_refund('failing-refund') @> '{"is_first": false, "is_ended": true}', true,
    'it is not sent again'
);
select is(
    tests.refund_result('failing-refund', 'refunded', 8500, 'XAF') ->> 'outcome', 'applied',
    'money that went back after all is taken at its word'
);
select is(
    tests.refund_state('failing-refund'), 'refunded sent 1 ! failed_refund settled',
    'and the desk is cleared'
);
select is(
    (tests.refund_row('failing-refund')).failure_reason, null, 'nothing is left of the failure'
);
select tests.books_hold('the books have it once');
select is(
    tests.refund_result('failing-refund', 'failed', reason => 'without words') ->> 'outcome',
    'unchanged', 'a failure after that is no news'
);
select is(tests.paid_order('silent'), 'paid', 'given another payment');
select count(tests.refund('silent-refund', 'silent-payment'));
select is(
    tests.refund_result('silent-refund', 'failed') ->> 'failure_reason', 'refused_by_gateway',
    'a failure without a reason says who refused'
);
select is(tests.paid_order('numbered'), 'paid', 'given another payment');
select count(tests.refund('numbered-refund', 'numbered-payment'));
select is(
    tests.refund_result(
        'numbered-refund', 'failed', reason => 'card 4111 1111 1111 1111 is closed'
    ) ->> 'failure_reason',
    'card … … … … is closed', 'a card number in the rail''s words is not kept'
);

-- Another sum -------------------------------------------------------------------------------------

select is(tests.paid_order('odd'), 'paid', 'given another payment');
select count(tests.refund('odd-refund', 'odd-payment'));
select count(tests.send_refund('odd-refund'));
select is(
    tests.refund_result('odd-refund', 'refunded', a.amount, a.currency) ->> 'outcome',
    'quarantined', format('%s %s gone back instead is quarantined', a.amount, a.currency)
)
from (values (8499, 'XAF'), (8501, null), (8500, 'ZAR'), (null, 'ZAR')) as a (amount, currency);
select results_eq(
    $$ select e.kind, e.detail, e.amount, e.currency, e.resolved_at
       from private.payment_exceptions as e where e.refund_id = tests.id('odd-refund') $$,
    $$ values ('refund_mismatch', 'gateway says 8499 XAF, we asked for 8500.00 XAF', 8499.00, 'XAF',
           null::timestamptz) $$,
    'it stands before a person once, with both sums'
);
select is(
    tests.money('odd'),
    '{odd-payment paid winner 8500.00 XAF - 0.00,'
    'odd-refund gateway kora processing 8500.00 XAF tax 1372.00}',
    'and is asked about still'
);
select is(
    tests.refund_result('odd-refund', 'refunded', 8500, 'XAF') ->> 'outcome', 'applied',
    'until the rail says the sum that was asked for'
);
select is(tests.desk('odd'), '{refund_mismatch odd-refund settled}', 'which settles it');

-- After all, and another took its place -----------------------------------------------------------
-- given a failed refund of all, and its replacement in each state, when the first went through

create function tests.late(name text, replacement text) returns text
language plpgsql as $$
declare
    v_outcome text;
begin
    perform tests.paid_order(late.name);
    perform tests.refund(late.name || '-1', late.name || '-payment');
    perform tests.send_refund(late.name || '-1');
    perform tests.refund_result(late.name || '-1', 'failed', reason => 'No');
    perform tests.refund(late.name || '-2', late.name || '-payment');
    if late.replacement <> 'pending' then
        perform tests.send_refund(late.name || '-2');
    end if;
    if late.replacement in ('refunded', 'failed') then
        perform tests.refund_result(late.name || '-2', late.replacement);
    end if;
    v_outcome := tests.refund_result(late.name || '-1', 'refunded', 8500, 'XAF') ->> 'outcome';
    return v_outcome || ' ' || (
        select string_agg(r.status::text, ' ' order by n.name)
        from public.refunds as r
        inner join tests.names as n on r.id = n.id
        where n.name like late.name || '-%'
    );
end
$$;
select is(tests.late('late-' || l.replacement, l.replacement), l.wanted, l.title)
from (
    values
    ('pending', 'applied refunded cancelled', 'one that was not sent makes way'),
    ('processing', 'quarantined failed processing', 'one that was sent may have gone, too'),
    ('refunded', 'quarantined failed refunded', 'both have gone: a person gets one back'),
    ('failed', 'applied refunded failed', 'one that failed as well is no matter')
) as l (replacement, wanted, title);
select is(
    tests.desk('late-pending') || tests.desk('late-processing') || tests.desk('late-refunded')
    || tests.desk('late-failed'),
    array[
        'failed_refund late-pending-1 settled',
        'failed_refund late-processing-1 open', 'refund_mismatch late-processing-1 open',
        'failed_refund late-refunded-1 open', 'refund_mismatch late-refunded-1 open',
        'failed_refund late-failed-1 settled', 'failed_refund late-failed-2 open'
    ],
    'before a person stands what cannot be right'
);
select is(
    (select sum(p.refunded_amount) from public.payments as p
     inner join tests.names as n on p.id = n.id and n.name like 'late-%-payment'),
    25500.00, 'no payment has given more than it got'
);
select is(
    tests.refund_result('late-processing-2', 'failed') ->> 'status', 'failed',
    'when the one that was sent failed, too'
);
select is(
    tests.refund_result('late-processing-1', 'refunded') ->> 'outcome', 'applied',
    'the first may have gone'
);
select results_eq(
    $$ select e.kind, e.detail from private.payment_events as e
       where e.refund_id = tests.id('late-pending-2') order by e.created_at $$,
    $$ values ('refund_requested', '{"way": "gateway", "amount": 8500.00, "reason": "Scratched",
               "currency": "XAF"}'::jsonb),
           ('refund_cancelled', '{"amount": 8500.00, "currency": "XAF"}') $$,
    'the trail says which made way'
);
select tests.remember();
select is(
    tests.send_refund('late-pending-2') @> '{"is_first": false, "is_ended": true}', true,
    'one that made way is not sent'
);
select is(
    tests.refund_result('late-pending-2', s.status) ->> 'outcome', 'unchanged',
    'nor ' || s.status
)
from (values ('refunded'), ('failed'), ('pending')) as s (status);
select tests.nothing_changed('and nothing changes');

-- pieces: the same two hats twice, and a shoe that has nothing to do with them
select is(
    tests.paid_order(
        'hats', items => jsonb_build_array(tests.item('shoe', 2), tests.item('hat', 2))
    ),
    'paid', 'given another payment'
);
select count(tests.refund('hats-1', 'hats-payment', items => tests.pieces('hats', '2:2')));
select count(tests.send_refund('hats-1'));
select count(tests.refund_result('hats-1', 'failed', reason => 'No'));
select count(tests.refund('hats-2', 'hats-payment', items => tests.pieces('hats', '2:2')));
select count(tests.refund('shoe-1', 'hats-payment', items => tests.pieces('hats', '1:1')));
update public.refunds set created_at = created_at + interval '1 second'
where id = tests.id('shoe-1');
select is(
    tests.refund_result('hats-1', 'refunded') ->> 'outcome', 'applied',
    'when the first two hats went back after all'
);
select is(
    tests.money('hats'),
    '{hats-payment partially_refunded winner 16500.00 XAF - 3808.00,'
    'hats-1 gateway kora refunded 3808.00 XAF tax 614.00,'
    'hats-2 gateway kora cancelled 3808.00 XAF tax 614.00,'
    'shoe-1 gateway kora pending 6346.00 XAF tax 1025.00}',
    'the same hats make way, the shoe does not'
);
select is(
    tests.paid_order(
        'caps', items => jsonb_build_array(tests.item('shoe', 2), tests.item('hat', 2))
    ),
    'paid', 'given another payment'
);
select count(tests.refund('caps-1', 'caps-payment', items => tests.pieces('caps', '2:2')));
select count(tests.send_refund('caps-1'));
select count(tests.refund_result('caps-1', 'failed', reason => 'No'));
select count(tests.refunded('caps-2', 'caps-payment', null, tests.pieces('caps', '2:1')));
select is(
    tests.refund_result('caps-1', 'refunded') ->> 'outcome', 'quarantined',
    'when one of them has gone back already it goes before a person'
);
select is(
    tests.desk('caps'), '{failed_refund caps-1 open,refund_mismatch caps-1 open}',
    'who sees both'
);

-- the last guard: what no longer fits is not sent
select is(tests.paid_order('guard'), 'paid', 'given another payment');
select count(tests.refund('guard-1', 'guard-payment', 8000));
select count(tests.refund('guard-2', 'guard-payment', 500));
update public.refunds set amount = 8001 where id = tests.id('guard-1');
select is(
    tests.send_refund('guard-2') @> '{"is_first": false, "is_ended": true, "status": "cancelled"}',
    true, 'a refund for which no money is left is cancelled instead of sent'
);
select tests.books_hold('and the books agree');

-- By a notice -------------------------------------------------------------------------------------

select is(tests.paid_order('noticed'), 'paid', 'given another payment');
select count(tests.refund('noticed-refund', 'noticed-payment'));
select count(tests.send_refund('noticed-refund'));
select count(tests.refund_result('noticed-refund', 'pending', null, null, 'KPR-9'));
create function tests.refund_notice(key text, kind text, "references" text []) returns text
language plpgsql as $$
declare
    v_answer jsonb := tests.notice(
        refund_notice.key, refund_notice."references", refund_notice.kind
    );
begin
    return (
        select concat_ws(
            ' / ', tests.name_of(e.refund_id), tests.name_of(e.payment_id),
            b.answer ->> 'kind',
            (b.answer ->> 'refund_id')::uuid is not distinct from e.refund_id
        )
        from private.webhook_events as e
        cross join lateral (
            select tests.as_service(format('service.begin_webhook_event(%L)', e.id)) as answer
        ) as b
        where e.id = (v_answer ->> 'event_id')::uuid
    );
end
$$;
select is(tests.refund_notice(n.key, n.kind, n.refs), n.wanted, n.title)
from (
    values
    ('k1', 'refund', array[(tests.refund_row('noticed-refund')).reference],
        'noticed-refund / noticed-payment / refund / t', 'a notice finds it by our name'),
    ('k2', 'refund', array['KPR-9'], 'noticed-refund / noticed-payment / refund / t',
        'or by the rail''s'),
    ('k3', 'payout', array['KPR-9'], 'noticed-refund / noticed-payment / payout / t',
        'also as a transfer'),
    ('k4', 'payment', array['KPR-9'], 'payment / t', 'but not as a payment'),
    ('k5', 'refund', array['T-noticed'], 'noticed-payment / refund / t',
        'the payment''s own names find the payment'),
    ('k6', 'refund', array['KPR-0'], 'refund / t', 'unknown names find nothing')
) as n (key, kind, refs, wanted, title);
select tests.name_it('notice', e.id) from private.webhook_events as e where e.dedupe_key = 'k1';
select is(
    tests.refund_result(
        'noticed-refund', 'refunded', 8500, 'XAF', 'KPR-9', source => 'webhook',
        request_id => 'req-k1', event_id => tests.id('notice')
    ) ->> 'outcome',
    'applied', 'what the rail says then is applied'
);
select results_eq(
    $$ select e.kind, e.event_id, e.request_id from private.payment_events as e
       where e.refund_id = tests.id('noticed-refund') and e.kind = 'refunded' $$,
    $$ values ('refunded', tests.id('notice'), 'req-k1') $$,
    'and the trail says on which notice'
);

-- Who ---------------------------------------------------------------------------------------------

create table tests.calls (call text);
insert into tests.calls values
(format('service.begin_refund_attempt(%L)', tests.id('silent-refund'))),
(tests.refund_result_sql('silent-refund', 'refunded')),
(format('service.record_refund_refused(%L, ''x'', ''y'')', tests.id('silent-refund'))),
(format('service.record_refund_check(%L, ''pending'')', tests.id('silent-refund'))),
('service.claim_refund_sweep(10)');
grant select on tests.calls to public;
select tests.remember();
select tests.act_as_anon();
select tests.denies('select ' || c.call, 'a guest may not: ' || left(c.call, 28))
from tests.calls as c;
select tests.act_as('chioma');
select tests.denies('select ' || c.call, 'nor an admin: ' || left(c.call, 28))
from tests.calls as c;
select tests.act_as_service_role();
select tests.denies('select ' || c.call, 'nor service_role: ' || left(c.call, 28))
from tests.calls as c;
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');
select tests.refuses(
    format('select tests.as_service(%L)', format(c.call, gen_random_uuid())),
    'PT404 refund_not_found', 'a refund that is none: ' || left(c.call, 28)
)
from (
    values
    ('service.apply_refund_result(%L, ''refunded'', 1, ''XAF'', null, null, ''poll'', null)'),
    ('service.record_refund_refused(%L, ''x'', ''y'')'),
    ('service.record_refund_check(%L, ''pending'')')
) as c (call);
select tests.act_as_owner();
select tests.books_hold('and the books agree');

select * from finish();
rollback;
