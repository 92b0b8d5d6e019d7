-- Everything that happened to an order's money, for admins: who, what, when, on which notice, in
-- which request. It cannot be changed.
begin;
\ir ../_helpers.psql
\ir _payments.psql
\ir _refunds.psql
select plan(25);

-- given amina, who fails to pay, pays by another way on a notice, pays twice, and is refunded
select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('chioma');
select tests.make_product('shoe', 100, 100.00, 5000);
select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.place_order('neighbour', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.pay('neighbour'));

select count(tests.begin_payment('first', 'order'));
select count(tests.as_service(format(
    'service.record_payment_start_failed(%L, ''nothing_created'', ''refused'')', tests.id('first')
)));
select count(tests.begin_payment('second', 'order', 'mtn_momo', '+237650000000', '{mtn}'));
select count(tests.as_service(format(
    'service.record_payment_started(%L, ''M-1'', ''{"action": "push"}'', %L)', tests.id('second'),
    now() + interval '5 minutes'
)));
select tests.name_it('notice', (
    tests.notice('n-1', array[(tests.payment('second')).reference], 'payment', 'mtn')
        ->> 'event_id'
)::uuid);
select tests.name_it('repeat', (
    tests.notice('n-2', array['M-1'], 'payment', 'mtn') ->> 'event_id'
)::uuid);
select count(tests.apply(
    'second', 'paid', gateway_transaction_id => 'M-1', fee => 170, request_id => 'req-n-1',
    event_id => tests.id('notice')
));
select count(tests.as_service(format(
    'service.record_webhook_handled(%L, ''applied'')', tests.id('notice')
)));
select count(tests.apply(
    'second', 'paid', gateway_transaction_id => 'M-1', request_id => 'req-n-2',
    event_id => tests.id('repeat')
));
select count(tests.as_service(format(
    'service.record_webhook_handled(%L, ''unchanged'')', tests.id('repeat')
)));
select count(tests.apply('second', 'refunded', reason => 'chargeback', request_id => 'req-3'));
select set_config('mallgram.request_id', '', true);
select count(tests.resolve(
    'chioma', 'reversed_by_gateway', 'second', 'dismiss', 'A mistake of theirs'
));
select count(tests.refund('refund', 'second', 500));
select count(tests.send_refund('refund'));
select count(tests.refund_result(
    'refund', 'refunded', 500, 'XAF', 'MR-1', request_id => 'req-4'
));

-- What it tells -----------------------------------------------------------------------------------

create function tests.trail() returns table (
    kind text, actor text, payment text, refund text, notice text, request_id text, detail jsonb
)
language sql as $$
    select
        t.kind, concat_ws(' ', t.actor_type, tests.name_of(t.actor_id)),
        tests.name_of(t.payment_id), tests.name_of(t.refund_id), tests.name_of(t.event_id),
        t.request_id, t.detail
    from public.payment_trail(tests.id('order')) as t
$$;
grant execute on function tests.trail() to public;
create table tests.told as select * from tests.trail() where false;
grant select, insert on tests.told to public;
select tests.act_as('chioma');
insert into tests.told select * from tests.trail();
select results_eq(
    $$ select t.kind, t.actor, t.payment, t.refund, t.notice, t.request_id, t.detail
       from tests.told as t where t.payment is null order by t.kind $$,
    $$ values
       ('paid', 'gateway', null, null, null, null,
           '{"from_status": "pending", "to_status": "paid"}'::jsonb),
       ('payment_begun', 'user amina', null, null, null, null, '{}'),
       ('payment_begun', 'user amina', null, null, null, null, '{}'),
       ('placed', 'user amina', null, null, null, null, '{"to_status": "pending"}'),
       ('refunded', 'gateway', null, null, null, null, '{"note": "500.00 XAF"}') $$,
    'what became of the order'
);
select results_eq(
    $$ select t.kind, t.actor, t.payment, t.notice, t.request_id, t.detail from tests.told as t
       where t.kind like 'notice_%' order by t.notice $$,
    $$ values
       ('notice_received', 'gateway', 'second', 'notice', 'req-n-1', jsonb_build_object(
           'gateway', 'mtn', 'event_type', 'payment.changed', 'outcome', 'applied',
           'handled_at', to_jsonb(now()))),
       ('notice_received', 'gateway', 'second', 'repeat', 'req-n-2', jsonb_build_object(
           'gateway', 'mtn', 'event_type', 'payment.changed', 'outcome', 'unchanged',
           'handled_at', to_jsonb(now()))) $$,
    'which notices came, and what came of each'
);
select results_eq(
    $$ select t.kind, t.actor, t.payment, t.refund, t.notice, t.request_id, t.detail
       from tests.told as t
       where t.kind like 'payment_%' and t.payment is not null
       order by t.payment, t.kind, t.detail ->> 'gateway' $$,
    $$ values
       ('payment_begun', 'user amina', 'first', null, null, null,
           '{"amount": 8500.00, "method": "kora_checkout", "gateway": "kora",
             "currency": "XAF"}'::jsonb),
       ('payment_not_started', 'gateway', 'first', null, null, null,
           '{"reason": "refused", "outcome": "nothing_created"}'),
       ('payment_begun', 'user amina', 'second', null, null, null,
           '{"amount": 8500.00, "method": "mtn_momo", "gateway": "mtn", "currency": "XAF"}'),
       ('payment_exception_resolved', 'admin chioma', 'second', null, null, null,
           '{"note": "A mistake of theirs", "action": "dismiss",
             "exception": "reversed_by_gateway"}'),
       ('payment_notice_changed_nothing', 'gateway', 'second', null, 'repeat', 'req-n-2',
           '{"status": "paid"}'),
       ('payment_paid', 'gateway', 'second', null, 'notice', 'req-n-1',
           '{"fee": 170, "amount": 8500.00, "currency": "XAF", "is_winner": true,
             "gateway_transaction_id": "M-1"}'),
       ('payment_refund_requested', 'admin chioma', 'second', 'refund', null, null,
           '{"way": "gateway", "amount": 500.00, "reason": "Scratched", "currency": "XAF"}'),
       ('payment_refunded', 'gateway', 'second', 'refund', null, 'req-4',
           '{"amount": 500.00, "currency": "XAF"}'),
       ('payment_started', 'gateway', 'second', null, null, null, jsonb_build_object(
           'action', 'push', 'expires_at', to_jsonb(now() + interval '5 minutes'),
           'gateway_transaction_id', 'M-1')) $$,
    'every step of every attempt, with who took it'
);
select results_eq(
    $$ select t.kind, t.actor, t.payment, t.refund, t.request_id, t.detail from tests.told as t
       where t.kind like 'posted_%' order by t.kind $$,
    $$ values
       ('posted_fee', 'system', 'second', null, 'req-n-1',
           '[{"amount": 170.00, "account": "gateway_fees", "currency": "XAF"},
             {"amount": -170.00, "account": "gateway_receivable", "currency": "XAF"}]'::jsonb),
       ('posted_receipt', 'system', 'second', null, 'req-n-1',
           '[{"amount": 8500.00, "account": "gateway_receivable", "currency": "XAF"},
             {"amount": -8500.00, "account": "unallocated_receipts", "currency": "XAF"}]'),
       ('posted_refund', 'system', 'second', 'refund', 'req-4',
           '[{"amount": 419.00, "account": "refunds", "currency": "XAF"},
             {"amount": 81.00, "account": "vat_payable", "currency": "XAF"},
             {"amount": -500.00, "account": "gateway_receivable", "currency": "XAF"}]'),
       ('posted_sale', 'system', 'second', null, 'req-n-1',
           '[{"amount": 8500.00, "account": "unallocated_receipts", "currency": "XAF"},
             {"amount": -4193.00, "account": "sales", "currency": "XAF"},
             {"amount": -2935.00, "account": "shipping_income", "currency": "XAF"},
             {"amount": -1372.00, "account": "vat_payable", "currency": "XAF"}]') $$,
    'what was posted'
);
select results_eq(
    $$ select t.kind, t.actor, t.payment, t.refund, t.notice, t.detail - 'exception_id'
       from tests.told as t where t.kind like 'exception_%' $$,
    $$ values ('exception_opened', 'system', 'second', null, null,
           '{"kind": "reversed_by_gateway", "detail": "chargeback"}'::jsonb) $$,
    'and what stood before a person'
);
select is((select count(*) from tests.told), 21::bigint, 'that is all');
select is(
    (select count(*) from public.payment_trail(tests.id('neighbour'))), 7::bigint,
    'another order has its own'
);

-- In its order ------------------------------------------------------------------------------------

select tests.act_as_owner();
set local session_replication_role = replica;
update private.payment_events as e
set created_at = now() + (case e.kind
    when 'begun' then 0 when 'not_started' then 1 when 'started' then 3 when 'paid' then 5
    when 'notice_changed_nothing' then 6 when 'exception_resolved' then 8
    when 'refund_requested' then 9 else 10
end) * interval '1 minute'
where e.order_id = tests.id('order');
update private.webhook_events set received_at = now() + interval '4 minutes'
where payment_id = tests.id('second');
update private.ledger_transactions as t
set created_at = now() + (case t.kind when 'refund' then 10 else 5 end) * interval '1 minute'
where t.order_id = tests.id('order');
update private.payment_exceptions set created_at = now() + interval '7 minutes';
update public.order_events as e
set created_at = now() + (case e.kind when 'paid' then 5 when 'refunded' then 10 else 0 end)
    * interval '1 minute'
where e.order_id = tests.id('order');
set local session_replication_role = origin;
select tests.act_as('chioma');
select is(
    (
        select string_agg(m.kinds, ' < ' order by m.at)
        from (
            select t.at, string_agg(distinct t.kind, ', ' order by t.kind) as kinds
            from public.payment_trail(tests.id('order')) as t
            group by t.at
        ) as m
    ),
    'payment_begun, placed < payment_not_started < payment_started < notice_received < '
    'paid, payment_paid, posted_fee, posted_receipt, posted_sale < '
    'payment_notice_changed_nothing < exception_opened < payment_exception_resolved < '
    'payment_refund_requested < payment_refunded, posted_refund, refunded',
    'each step has its time'
);
select is(
    (
        select array_agg(t.at order by t.place) = array_agg(t.at order by t.at)
        from public.payment_trail(tests.id('order')) with ordinality as t (
            at, kind, actor_type, actor_id, payment_id, refund_id, event_id, request_id, detail,
            place
        )
    ),
    true, 'oldest first'
);

-- Who reads it, and that it stays -----------------------------------------------------------------

select tests.refuses(
    format('select * from public.payment_trail(%L)', i.id), 'PT404 order_not_found',
    i.title || ' has none', coalesce(i.id::text, '')
)
from (values (tests.id('first'), 'a payment''s id'), (null, 'no id')) as i (id, title);
select tests.act_as('amina');
select tests.refuses(
    format('select * from public.payment_trail(%L)', i.id), 'PT403 admin_required',
    'a shopper may not read ' || i.title
)
from (
    values (tests.id('order'), 'that of her own order'), (tests.id('first'), 'what is not there')
) as i (id, title);
select tests.refuses(
    format('select * from private.payment_trail(%L)', tests.id('order')), 'PT403 admin_required',
    'nor by the door behind it'
);
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(
    format('select * from public.payment_trail(%L)', tests.id('order')),
    'PT401 authentication_required', 'nor may a token without a subject'
);
select tests.act_as_anon();
select tests.denies(
    format('select * from public.payment_trail(%L)', tests.id('order')), 'a guest may not'
);
select tests.act_as_service_role();
select tests.denies(
    format('select * from public.payment_trail(%L)', tests.id('order')), 'nor service_role'
);
select tests.act_as_service();
select tests.denies(
    format('select * from public.payment_trail(%L)', tests.id('order')),
    'nor the service''s login'
);
select tests.act_as_owner();
select tests.remember();
select tests.refuses(s.sql, 'PT409 record_immutable', s.title, 'payment_events')
from (
    values
    ('update private.payment_events set actor_id = null', 'no step is changed'),
    ('update private.payment_events set detail = ''{}''', 'in no column'),
    ('delete from private.payment_events', 'nor taken away')
) as s (sql, title);
select tests.nothing_changed('it stays as it is');
select tests.violates(b.sql, b.constraint_name, b.title || ' cannot be')
from (
    values
    ('insert into private.payment_events (order_id, payment_id, kind, actor_type) '
        'values (tests.id(''order''), tests.id(''first''), ''Paid!'', ''user'')',
        'payment_events_kind_is_snake_case', 'a step without a proper name'),
    ('insert into private.payment_events (order_id, payment_id, kind, actor_type) '
        'values (tests.id(''order''), tests.id(''first''), ''paid'', ''ghost'')',
        'payment_events_actor_type_is_known', 'a step by a ghost'),
    ('insert into private.payment_events (order_id, payment_id, kind, actor_type, detail) '
        'values (tests.id(''order''), tests.id(''first''), ''paid'', ''user'', ''[]'')',
        'payment_events_detail_is_object', 'a step with a list for detail')
) as b (sql, constraint_name, title);

select * from finish();
rollback;
