-- The exception desk: what goes before a person, once each, who is told, and what admins read.
begin;
\ir ../_helpers.psql
\ir _payments.psql
\ir _refunds.psql
select plan(78);

-- given amina, and two admins of two languages
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_admin('dieudonne', 'fr');
select tests.make_product('shoe', 1000, 100.00, 5000);

create function tests.order_of(name text) returns uuid
language sql as $$
    select tests.place_order(
        order_of.name, 'amina', jsonb_build_array(tests.item('shoe', 1))
    )
$$;
-- how often each admin was told of a row: messages + mails
create function tests.told(kind text, subject text) returns text
language sql stable security definer as $$
    select string_agg(
        format(
            '%s %s+%s', tests.name_of(a.user_id),
            (select count(*) from public.notifications as n
             where n.user_id = a.user_id and n.kind = 'exception_opened'
                and n.data ->> 'exception_id' = x.id::text),
            (select count(*) from private.emails as m
             where m.user_id = a.user_id and m.exception_id = x.id
                and m.template = 'exception_opened')
        ),
        ', ' order by tests.name_of(a.user_id)
    )
    from public.admins as a
    cross join tests.exception(told.kind, told.subject) as x
$$;

-- Once, and who is told ---------------------------------------------------------------------------
-- given an order of 8500 XAF for which 8000 came

select tests.order_of('short');
select count(tests.begin_payment('short-payment', 'short'));
delete from private.outbox;
select is(
    tests.apply('short-payment', 'paid', 8000, null, 'KPY-1', request_id => 'req-1') ->> 'outcome',
    'quarantined', 'given money that does not fit'
);
select results_eq(
    $$ select e.kind, e.subject_id, e.order_id, e.payment_id, e.refund_id, e.event_id, e.gateway,
           e.amount, e.currency, e.detail, e.evidence, e.created_at, e.resolved_at, e.resolved_by,
           e.resolution, e.note
       from private.payment_exceptions as e $$,
    $$ values ('amount_mismatch', tests.id('short-payment'), tests.id('short'),
           tests.id('short-payment'), null::uuid, null::uuid, 'kora', 8000.00, 'XAF',
           'gateway says 8000 XAF, order says 8500.00 XAF',
           '{"gateway_transaction_id": "KPY-1"}'::jsonb, now(), null::timestamptz, null::uuid,
           null, null) $$,
    'one row says what, of what, and what is known'
);
select is(
    tests.told('amount_mismatch', 'short-payment'), 'chioma 1+1, dieudonne 1+1',
    'every admin is told, by message and by mail'
);
select results_eq(
    $$ select n.data from public.notifications as n
       where n.user_id = tests.id('chioma') and n.kind = 'exception_opened' $$,
    $$ select jsonb_build_object(
           'exception_id', e.id, 'kind', 'amount_mismatch', 'order_id', tests.id('short'),
           'detail', 'gateway says 8000 XAF, order says 8500.00 XAF')
       from private.payment_exceptions as e $$,
    'the message says what'
);
select set_eq(
    $$ select o.job, o.args, o.request_id from private.outbox as o where o.job = 'send_email' $$,
    $$ select 'send_email' as job, jsonb_build_object('email_id', m.id) as args, 'req-1' as id
       from private.emails as m where m.template = 'exception_opened' $$,
    'each mail has its row of work'
);
create function tests.mail_of(admin text) returns jsonb
language sql as $$
    select tests.as_service(format('service.begin_email(%L)', m.id))
    from private.emails as m
    where m.user_id = tests.id(mail_of.admin) and m.template = 'exception_opened'
    order by m.created_at
    limit 1
$$;
select is(
    tests.mail_of(a.admin) - 'email_id' - 'recipient',
    (
        select jsonb_build_object(
            'template', 'exception_opened', 'recipient_name', initcap(a.admin) || ' Test',
            'language', a.language,
            'data', jsonb_build_object(
                'exception_id', e.id, 'kind', 'amount_mismatch', 'title', a.title,
                'detail', 'gateway says 8000 XAF, order says 8500.00 XAF', 'gateway', 'kora',
                'amount', 8000.00, 'currency', 'XAF', 'minor_unit', 0,
                'order_number', o.order_number, 'opened_at', to_jsonb(now()),
                'actions', '["recheck", "accept", "refund", "mark_refunded"]'::jsonb,
                'first_name', initcap(a.admin)
            )
        )
        from private.payment_exceptions as e
        inner join public.orders as o on e.order_id = o.id
    ),
    'the mail of ' || a.admin || ' says all of it, and what can be done, in ' || a.language
)
from (
    values
    ('chioma', 'en', 'Another sum was collected than the order asks for.'),
    ('dieudonne', 'fr', 'Une autre somme que celle de la commande a été encaissée.')
) as a (admin, language, title);
select is(
    tests.apply('short-payment', 'paid', 8000, null, 'KPY-1') ->> 'outcome', 'quarantined',
    'said again, it is quarantined still'
);
select is(
    (select count(*) from private.payment_exceptions), 1::bigint, 'and stands there once'
);
select is(
    tests.told('amount_mismatch', 'short-payment'), 'chioma 1+1, dieudonne 1+1',
    'nobody is told again'
);
-- what an admin asked about again comes back, what a later fact settled is closed
select count(tests.resolve('chioma', 'amount_mismatch', 'short-payment', 'recheck'));
select is(
    tests.desk('short'), '{amount_mismatch short-payment recheck}', 'when it was asked about again'
);
select is(
    tests.apply('short-payment', 'paid', 8000, null, 'KPY-1') ->> 'outcome', 'quarantined',
    'and is still so'
);
select results_eq(
    $$ select e.resolved_at, e.resolved_by, e.resolution
       from tests.exception('amount_mismatch', 'short-payment') as e $$,
    $$ values (null::timestamptz, null::uuid, null) $$,
    'it is open again'
);
select is(
    (select count(*) from private.payment_exceptions), 1::bigint, 'the same row, not another'
);
select is(
    tests.apply('short-payment', 'paid', 8500, null, 'KPY-1') ->> 'order_status', 'paid',
    'when the gateway says the right sum at last'
);
select results_eq(
    $$ select e.resolved_at, e.resolved_by, e.resolution
       from tests.exception('amount_mismatch', 'short-payment') as e $$,
    $$ values (now(), null::uuid, 'settled') $$,
    'nobody needs to look at it'
);

-- What brings each kind ---------------------------------------------------------------------------

create function tests.row_of(kind text, subject text) returns text
language sql stable security definer as $$
    select concat_ws(
        ' ', e.gateway, e.amount, e.currency, '/', tests.name_of(e.order_id),
        tests.name_of(e.payment_id), tests.name_of(e.refund_id), '/', e.detail, '/', e.evidence,
        case when e.resolved_at is not null then e.resolution end
    )
    from tests.exception(row_of.kind, row_of.subject) as e
$$;

-- another currency
select tests.order_of('naira');
select count(tests.begin_payment('naira-payment', 'naira'));
select count(tests.apply('naira-payment', 'paid', 50, 'NGN', 'KPY-2'));
select is(
    tests.row_of('currency_mismatch', 'naira-payment'),
    'kora 50.00 NGN / naira naira-payment / gateway says 50 NGN, order says 8500.00 XAF / '
    '{"gateway_transaction_id": "KPY-2"}',
    'currency_mismatch: money of another currency'
);
-- no money at all, although it says paid
select tests.order_of('vague');
select count(tests.begin_payment('vague-payment', 'vague'));
select is(
    tests.as_service(format(
        'service.apply_payment_result(%L, ''paid'', null, ''XAF'', null, null, null, ''poll'', '
        'null)',
        tests.id('vague-payment')
    )) ->> 'outcome',
    'quarantined', 'given a gateway that says paid and no sum'
);
select is(
    tests.row_of('amount_mismatch', 'vague-payment'),
    'kora 8500.00 XAF / vague vague-payment / gateway says nothing XAF, order says 8500.00 XAF / '
    '{}',
    'amount_mismatch: nobody knows how much came'
);
select results_eq(
    $$ select p.collected_amount, p.collected_currency from tests.payment('vague-payment') as p $$,
    $$ values (null::numeric(12, 2), null) $$,
    'and nothing is taken for collected'
);
-- a transaction that is another attempt's
select tests.order_of('foreign');
select count(tests.begin_payment('foreign-payment', 'foreign'));
select is(
    tests.apply('foreign-payment', 'paid', gateway_transaction_id => 'KPY-1') ->> 'outcome',
    'quarantined', 'given a transaction that paid another order'
);
select is(
    tests.row_of('ambiguous_reference', 'foreign-payment'),
    'kora 8500.00 XAF / foreign foreign-payment / gateway says nothing , order says 8500.00 XAF / '
    '{"gateway_transaction_id": "KPY-1"}',
    'ambiguous_reference: it pays once'
);
-- one notice of two payments
select count(tests.notice(
    'two', array[(tests.payment('naira-payment')).reference,
        (tests.payment('vague-payment')).reference]
));
select results_eq(
    $$ select tests.name_of(e.subject_id), e.detail,
           e.event_id = (select v.id from private.webhook_events as v where v.dedupe_key = 'two')
       from private.payment_exceptions as e
       where e.kind = 'ambiguous_reference' and e.event_id is not null order by 1 $$,
    $$ values ('naira-payment', 'one notice names several payments', true),
           ('vague-payment', 'one notice names several payments', true) $$,
    'ambiguous_reference: a notice of two payments, each has its row'
);
-- a notice of nobody
select count(tests.notice('nobody', array['mg-nobody']));
select count(tests.as_service(format(
    'service.record_webhook_handled(%L, ''unmatched'')', e.id
))) from private.webhook_events as e where e.dedupe_key = 'nobody';
select tests.name_it('nobody', e.id) from private.webhook_events as e where e.dedupe_key = 'nobody';
select is(
    tests.row_of('unmatched_notice', 'nobody'),
    'kora / / kora speaks of a payment that is not known here / {}',
    'unmatched_notice: money, perhaps, that belongs to nobody here'
);
select is(
    tests.told('unmatched_notice', 'nobody'), 'chioma 1+1, dieudonne 1+1', 'admins are told'
);
select count(tests.notice('other', array['mg-nobody'], 'other'));
select count(tests.as_service(format(
    'service.record_webhook_handled(%L, ''unmatched'')', e.id
))) from private.webhook_events as e where e.dedupe_key = 'other';
select is(
    (select count(*) from private.payment_exceptions as e where e.kind = 'unmatched_notice'),
    1::bigint, 'a notice of something else is no money'
);
-- money for what was paid already, and for what was cancelled
select tests.order_of('twice');
select count(tests.begin_payment('twice-1', 'twice'));
select count(tests.begin_payment('twice-2', 'twice', 'mtn_momo', '+237650000000', '{mtn}'));
select count(tests.begin_payment('twice-3', 'twice', 'orange_money', null, '{orange}'));
select count(tests.apply('twice-1', 'paid', gateway_transaction_id => 'KPY-4'));
select count(tests.apply('twice-2', 'paid', gateway_transaction_id => 'MTN-4'));
select count(tests.apply('twice-3', 'paid', gateway_transaction_id => 'OM-4'));
select tests.name_it('twice-refund', r.id) from public.refunds as r
where r.payment_id = tests.id('twice-2');
select is(
    tests.row_of('duplicate_payment', 'twice-2'),
    'mtn 8500.00 XAF / twice twice-2 / order is paid / '
    || jsonb_build_object('refund_id', tests.id('twice-refund'))::text,
    'duplicate_payment: paid twice, the refund is on its way'
);
select is(
    tests.told('duplicate_payment', 'twice-2'), 'chioma 0+0, dieudonne 0+0',
    'so nobody is troubled'
);
select is(
    tests.row_of('duplicate_payment', 'twice-3'),
    'orange 8500.00 XAF / twice twice-3 / order is paid / {}',
    'duplicate_payment: where the rail cannot give it back'
);
select is(
    tests.told('duplicate_payment', 'twice-3'), 'chioma 1+1, dieudonne 1+1', 'admins are told'
);
select tests.order_of('late');
select count(tests.begin_payment('late-payment', 'late'));
select tests.act_as('amina');
select count(public.cancel_order(tests.id('late')));
select tests.act_as_owner();
select count(tests.apply('late-payment', 'paid', gateway_transaction_id => 'KPY-5'));
select tests.name_it('late-refund', r.id) from public.refunds as r
where r.payment_id = tests.id('late-payment');
select is(
    tests.row_of('late_payment', 'late-payment'),
    'kora 8500.00 XAF / late late-payment / order is cancelled / '
    || jsonb_build_object('refund_id', tests.id('late-refund'))::text,
    'late_payment: it came after the order was cancelled, and goes back'
);
select is(
    tests.money('late') || tests.money('twice'),
    '{late-payment paid 8500.00 XAF - 0.00,'
    'late-refund gateway kora pending 8500.00 XAF tax 0.00,'
    'twice-1 paid winner 8500.00 XAF - 0.00,twice-2 paid 8500.00 XAF - 0.00,'
    'twice-3 paid 8500.00 XAF - 0.00,'
    'twice-refund gateway mtn pending 8500.00 XAF tax 0.00}',
    'money that bought nothing goes back without tax: none was charged on it'
);
select results_eq(
    $$ select r.reason, r.requested_by from public.refunds as r
       where r.id in (tests.id('late-refund'), tests.id('twice-refund')) $$,
    $$ values ('paid_without_effect', null::uuid), ('paid_without_effect', null) $$,
    'by the shop itself'
);
select count(tests.send_refund(r.name)), count(tests.refund_result(r.name, 'refunded'))
from (values ('late-refund'), ('twice-refund')) as r (name);
select is(
    tests.desk('late') || tests.desk('twice'),
    '{late_payment late-payment settled,duplicate_payment twice-2 settled,'
    'duplicate_payment twice-3 open}',
    'once it is back it is settled'
);
-- the gateway took it back by itself
select tests.order_of('reversed');
select count(tests.begin_payment('reversed-payment', 'reversed'));
select count(tests.apply('reversed-payment', 'paid', gateway_transaction_id => 'KPY-6'));
select is(
    tests.apply('reversed-payment', 'refunded', reason => 'chargeback') ->> 'outcome',
    'quarantined', 'given a gateway that says refunded'
);
select is(
    tests.row_of('reversed_by_gateway', 'reversed-payment'),
    'kora 8500.00 XAF / reversed reversed-payment / chargeback / {}',
    'reversed_by_gateway: the money is gone, and nobody here asked for it'
);
select is(
    tests.money('reversed'), '{reversed-payment paid winner 8500.00 XAF - 0.00}',
    'what a person decides is not decided yet'
);
-- nobody can tell, after a day
select tests.order_of('unknown');
select count(tests.begin_payment('unknown-payment', 'unknown'));
update public.payments set created_at = now() - interval '24 hours 1 second'
where id = tests.id('unknown-payment');
select is(
    tests.as_service(format(
        'service.record_payment_check(%L, ''unavailable'')', tests.id('unknown-payment'))),
    '{"next_check_at": null}', 'given an attempt of which nothing is known for a day'
);
select is(
    tests.row_of('unknown_outcome', 'unknown-payment'),
    'kora 8500.00 XAF / unknown unknown-payment / unavailable / {}',
    'unknown_outcome: nobody can say'
);
select tests.order_of('unheard');
select count(tests.begin_payment('unheard-payment', 'unheard'));
update public.payments set created_at = now() - interval '24 hours 1 second'
where id = tests.id('unheard-payment');
select count(tests.as_service(format(
    'service.record_payment_check(%L, ''not_found'')', tests.id('unheard-payment'))));
select is(
    tests.desk('unheard') || tests.money('unheard'), '{unheard-payment failed nothing - 0.00}',
    'what the gateway never heard of is no exception: it failed'
);
-- money in quarantine that was asked about until the day was over
select count(tests.resolve('chioma', 'currency_mismatch', 'naira-payment', 'recheck'));
update public.payments set created_at = now() - interval '24 hours 1 second'
where id = tests.id('naira-payment');
select is(
    tests.as_service(format(
        'service.record_payment_check(%L, %L)', tests.id('naira-payment'), o.outcome)),
    '{"next_check_at": null}', 'given money in quarantine, and a day of ' || o.outcome
)
from (values ('not_found')) as o (outcome);
select is(
    tests.desk('naira'),
    '{ambiguous_reference naira-payment open,currency_mismatch naira-payment open}',
    'it stands there again'
);
select is(
    tests.money('naira'), '{naira-payment pending 50.00 NGN - 0.00}', 'and is nobody''s failure'
);
-- the books
select tests.order_of('cooked');
update public.orders set payment_status = 'processing' where id = tests.id('cooked');
alter table public.orders disable trigger user;
update public.orders set status = 'paid', payment_status = 'paid', paid_at = now()
where id = tests.id('cooked');
alter table public.orders enable trigger user;
select set_eq(
    $$ select f.value ->> 'check_name' as rule,
           tests.name_of((f.value ->> 'subject_id')::uuid) as name, f.value ->> 'detail' as detail
       from jsonb_array_elements(tests.as_service('service.check_invariants()')) as f $$,
    $$ values ('ledger', 'cooked', 'sold for 8500.00, the books say 0'),
           ('payments', 'cooked', 'order is paid with 0 winning payments'),
           ('stock', 'shoe', 'reserved 6, unpaid orders hold 5') $$,
    'given books that were cooked, the night''s check finds what disagrees'
);
select is(
    tests.row_of('invariant_violated', 'cooked'),
    '/ / ledger: sold for 8500.00, the books say 0 / {"detail": "sold for 8500.00, the books say '
    '0", "check_name": "ledger", "subject_id": "' || tests.id('cooked') || '"}',
    'invariant_violated: with what was found'
);
select is(
    tests.told('invariant_violated', 'cooked'), 'chioma 1+1, dieudonne 1+1', 'admins are told'
);
select count(tests.as_service('service.check_invariants()'));
select is(
    tests.told('invariant_violated', 'cooked'), 'chioma 1+1, dieudonne 1+1',
    'not every night anew'
);
select count(tests.resolve('chioma', 'invariant_violated', 'cooked', 'dismiss', 'I see to it'));
select count(tests.as_service('service.check_invariants()'));
select is(
    (tests.exception('invariant_violated', 'cooked')).resolution, 'dismiss',
    'what was dismissed today stays dismissed'
);
update private.payment_exceptions set resolved_at = now() - interval '12 hours 1 second'
where subject_id = tests.id('cooked');
select count(tests.as_service('service.check_invariants()'));
select is(
    (tests.exception('invariant_violated', 'cooked')).resolution, null,
    'what is still so the next night comes back'
);
delete from private.payment_exceptions where kind = 'invariant_violated';
alter table public.orders disable trigger user;
update public.orders set status = 'pending', payment_status = 'pending', paid_at = null
where id = tests.id('cooked');
alter table public.orders enable trigger user;
select tests.books_hold('mended, nothing is wrong');
select is(tests.as_service('service.check_invariants()'), '[]', 'and nothing is found');

-- A gateway's own words
select tests.order_of('wordy');
select count(tests.begin_payment('wordy-payment', 'wordy'));
select count(tests.apply('wordy-payment', 'paid'));
select count(tests.apply(
    'wordy-payment', 'refunded', reason => E'card\n4111 1111 1111 1111 ' || repeat('x', 400)
));
select is(
    (tests.exception('reversed_by_gateway', 'wordy-payment')).detail,
    'card … … … … ' || repeat('x', 275), 'are one line, not too long, without a card number'
);

-- What admins read --------------------------------------------------------------------------------
-- given rows of known ages

delete from private.payment_exceptions
where subject_id not in (
    tests.id('short-payment'), tests.id('naira-payment'), tests.id('vague-payment'),
    tests.id('twice-3'), tests.id('unknown-payment'), tests.id('nobody')
) or kind = 'ambiguous_reference';
update private.payment_exceptions as e set created_at = now() - a.age
from (
    values
    ('short-payment', interval '5 days'), ('naira-payment', interval '4 hours'),
    ('vague-payment', interval '3 hours'), ('twice-3', interval '2 hours 30.654321 seconds'),
    ('unknown-payment', interval '2 hours 30.654321 seconds'), ('nobody', interval '1 second')
) as a (name, age)
where e.subject_id = tests.id(a.name);
create function tests.read_desk(
    status text default 'open', cursor text default null, page_size integer default 50
)
returns text []
language sql stable as $$
    select array_agg(coalesce(tests.name_of(e.payment_id), e.kind) order by e.place)
    from public.exceptions(read_desk.status, read_desk.cursor, read_desk.page_size)
        with ordinality as e (
            id, kind, title, status, age_seconds, order_id, order_number, payment_id, refund_id,
            event_id, gateway, amount, currency, detail, evidence, actions, created_at,
            resolved_at, resolved_by, resolution, note, cursor, place
        )
$$;
-- every page until there is none, by the last row's cursor
create function tests.pages(status text, page_size integer) returns text []
language plpgsql stable as $$
declare
    v_cursor text;
    v_names text [] := '{}';
    v_row record;
    v_rows integer;
begin
    loop
        v_rows := 0;
        for v_row in
            select * from public.exceptions(pages.status, v_cursor, pages.page_size)
        loop
            v_names := v_names || coalesce(tests.name_of(v_row.payment_id), v_row.kind);
            v_cursor := v_row.cursor;
            v_rows := v_rows + 1;
        end loop;
        exit when v_rows = 0;
        v_names := v_names || '|'::text;
    end loop;
    return v_names;
end
$$;
-- two of the same moment stand in the order of their ids
create table tests.pair as
select array_agg(n.name order by e.id) as names
from private.payment_exceptions as e
inner join tests.names as n on e.payment_id = n.id
where n.name in ('twice-3', 'unknown-payment');
grant select on tests.pair to public;
select tests.act_as('chioma');
select is(
    tests.read_desk(),
    (select array['naira-payment', 'vague-payment'] || p.names || array['unmatched_notice']
     from tests.pair as p),
    'open rows, what waits longest first'
);
select is(tests.read_desk('resolved'), '{short-payment}', 'resolved ones when asked for');
select is(cardinality(tests.read_desk('all')), 6, 'or all');
select is(
    (select to_jsonb(e) - 'cursor' from public.exceptions() as e limit 1),
    (
        select jsonb_build_object(
            'id', x.id, 'kind', 'currency_mismatch',
            'title', 'Money came in another currency than the order''s.', 'status', 'open',
            'age_seconds', 14400, 'order_id', tests.id('naira'), 'order_number', o.order_number,
            'payment_id', tests.id('naira-payment'), 'refund_id', null, 'event_id', null,
            'gateway', 'kora', 'amount', 50.00, 'currency', 'NGN',
            'detail', 'not_found',
            'evidence', jsonb_build_object(
                'payment', jsonb_build_object(
                    'reference', p.reference, 'gateway_transaction_id', 'KPY-2',
                    'status', 'pending', 'amount', 8500.00, 'currency', 'XAF',
                    'collected_amount', 50.00, 'collected_currency', 'NGN',
                    'refunded_amount', 0.00, 'is_winner', false, 'evidence_at', to_jsonb(now())
                ),
                'refund', '{}'::jsonb, 'notice', '{}'::jsonb
            ),
            'actions', '["recheck", "refund", "mark_refunded"]'::jsonb,
            'created_at', to_jsonb(now() - interval '4 hours'), 'resolved_at', null,
            'resolved_by', null, 'resolution', null, 'note', null
        )
        from tests.exception('currency_mismatch', 'naira-payment') as x
        inner join public.orders as o on o.id = x.order_id
        cross join tests.payment('naira-payment') as p
    ),
    'a row says all: age, evidence of the payment, what is safe now'
);
select results_eq(
    $$ select e.title, e.evidence -> 'notice', e.actions, e.age_seconds, e.order_number
       from public.exceptions() as e where e.kind = 'unmatched_notice' $$,
    $$ values ('A gateway speaks of a payment that is not known here.', jsonb_build_object(
           'event_type', 'payment.changed', 'received_at', to_jsonb(now()), 'raw', '{"é": 1}'),
           '{dismiss}'::text [], 1, null) $$,
    'of a notice it shows what came'
);
select results_eq(
    $$ select e.status, e.age_seconds, e.actions, e.resolution, e.resolved_by
       from public.exceptions('resolved') as e $$,
    $$ values ('resolved', 432000, '{}'::text [], 'settled', null::uuid) $$,
    'of a resolved row, how long it stood; nothing is to be done'
);
select tests.speaks('fr');
select results_eq(
    $$ select distinct e.title from public.exceptions() as e
       where e.payment_id = tests.id('naira-payment') $$,
    $$ values ('L''argent est arrivé dans une autre devise que celle de la commande.') $$,
    'in French for who speaks it'
);
select tests.speaks(null);
-- page by page
select is(
    tests.pages('open', 1),
    (select array['naira-payment', '|', 'vague-payment', '|', p.names[1], '|', p.names[2], '|',
        'unmatched_notice', '|'] from tests.pair as p),
    'one by one, each once, also two of the same moment'
);
select is(
    tests.pages('all', 4),
    (select array['short-payment', 'naira-payment', 'vague-payment', p.names[1], '|', p.names[2],
        'unmatched_notice', '|'] from tests.pair as p),
    'or four by four'
);
select tests.refuses(
    format('select * from public.exceptions(%L, %L, %L)', a.status, a.cursor, a.page_size),
    a.refusal, 'refused: ' || a.title, a.detail
)
from (
    values
    ('closed', null, 50, 'PT400 input_invalid', 'a status that is none', 'status'),
    (null, null, 50, 'PT400 input_invalid', 'no status', 'status'),
    ('open', null, 0, 'PT400 input_invalid', 'a page of nothing', 'page_size'),
    ('open', null, 101, 'PT400 input_invalid', 'a page of 101', 'page_size'),
    ('open', null, null, 'PT400 input_invalid', 'no page size', 'page_size'),
    ('open', 'x', 50, 'PT400 cursor_invalid', 'a cursor that is none', 'x'),
    ('open', encode('{"s": "newest", "k": 1, "i": "00000000-0000-4000-8000-000000000000"}',
            'base64'),
        50, 'PT400 cursor_invalid', 'another list''s cursor', null),
    ('open', encode('{"s": "exceptions", "k": 1}', 'base64'), 50, 'PT400 cursor_invalid',
        'half a cursor', null)
) as a (status, cursor, page_size, refusal, title, detail);

-- Who reads it ------------------------------------------------------------------------------------

select tests.act_as_anon();
select tests.denies('select * from public.exceptions()', 'a guest may not read the desk');
select tests.denies(
    'select * from private.exceptions(''open'', null, 50)', 'nor by the door behind it'
);
select tests.act_as(n.name) from (values ('bongani')) as n (name);
select tests.refuses(
    'select * from public.exceptions()', 'PT403 admin_required', 'a shopper may not'
);
select tests.refuses(
    'select * from private.exceptions(''open'', null, 50)', 'PT403 admin_required',
    'nor by the door behind it'
);
select tests.act_as('amina');
select tests.refuses(
    'select * from public.exceptions()', 'PT403 admin_required', 'nor one whose money it is'
);
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(
    'select * from public.exceptions()', 'PT401 authentication_required',
    'a token without a subject neither'
);
select tests.act_as_service_role();
select tests.denies('select * from public.exceptions()', 'nor service_role');
select tests.act_as_service();
select tests.denies('select * from public.exceptions()', 'nor the service''s login');
select tests.act_as_owner();

-- The kinds ---------------------------------------------------------------------------------------

select results_eq(
    $$ select k.kind, array_to_string(k.actions, ' ')
       from private.payment_exception_kinds as k order by k.kind collate "C" $$,
    $$ values
       ('ambiguous_reference', 'recheck dismiss'),
       ('amount_mismatch', 'recheck accept refund mark_refunded dismiss'),
       ('currency_mismatch', 'recheck refund mark_refunded dismiss'),
       ('duplicate_payment', 'refund mark_refunded dismiss'),
       ('exchange_rate_old', 'dismiss'),
       ('exchange_rate_refused', 'dismiss'),
       ('failed_refund', 'retry pay_out mark_refunded dismiss'),
       ('invariant_violated', 'dismiss'),
       ('late_payment', 'refund mark_refunded dismiss'),
       ('manual_refund', 'mark_refunded pay_out dismiss'),
       ('missing_in_statement', 'recheck dismiss'),
       ('price_held', 'dismiss'),
       ('refund_mismatch', 'recheck mark_refunded dismiss'),
       ('reversed_by_gateway', 'recheck accept dismiss'),
       ('statement_differs', 'dismiss'),
       ('supplier_consent_ends', 'dismiss'),
       ('sync_failed', 'dismiss'),
       ('sync_waiting', 'dismiss'),
       ('unknown_in_statement', 'dismiss'),
       ('unknown_outcome', 'recheck dismiss'),
       ('unknown_refund', 'recheck retry mark_refunded'),
       ('unmatched_notice', 'dismiss') $$,
    'these are the kinds, with what may be done at most'
);

select * from finish();
rollback;
