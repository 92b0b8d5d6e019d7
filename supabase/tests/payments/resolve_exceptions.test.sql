-- What admins do at the exception desk: each kind's safe actions in each state, what comes of them,
-- that twice is once, and that nothing else is done.
begin;
\ir ../_helpers.psql
\ir _payments.psql
\ir _refunds.psql
select plan(238);

-- given amina, who orders shoes for 8500 XAF, 1372 of it tax, and two admins
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_admin('dieudonne', 'fr');
select tests.make_product('shoe', 1000, 100.00, 5000);

-- A row of the desk: how it came there ------------------------------------------------------------

create function tests.paid(
    name text, method text default 'kora_checkout', phone text default null,
    gateway text default 'kora', amount numeric default null, currency text default null
)
returns uuid
language plpgsql as $$
declare
    v_payment_id uuid;
begin
    perform tests.place_order(
        paid.name, 'amina', jsonb_build_array(tests.item('shoe', 1))
    );
    v_payment_id := tests.begin_payment(
        paid.name || '-payment', paid.name, paid.method, paid.phone, array[paid.gateway]
    ) ->> 'payment_id';
    perform tests.apply(
        paid.name || '-payment', 'paid', paid.amount, paid.currency,
        gateway_transaction_id => 'T-' || paid.name
    );
    return v_payment_id;
end
$$;
create function tests.failed_refund(name text) returns void
language plpgsql as $$
begin
    perform tests.refund(failed_refund.name || '-refund', failed_refund.name || '-payment');
    perform tests.send_refund(failed_refund.name || '-refund');
    perform tests.refund_result(failed_refund.name || '-refund', 'failed', reason => 'No');
end
$$;
create function tests.cancel(name text) returns void
language plpgsql as $$
begin
    perform tests.act_as('amina');
    perform public.cancel_order(tests.id(cancel.name));
    perform tests.act_as_owner();
end
$$;

-- Leads to a row and answers its kind and subject.
create function tests.given(scenario text, name text) returns text []
language plpgsql as $$
declare
    v_id uuid;
begin
    case given.scenario
        when 'short' then
            perform tests.paid(given.name, amount => 8000);
            return array['amount_mismatch', given.name || '-payment'];
        when 'over' then
            perform tests.paid(given.name, amount => 9000);
            return array['amount_mismatch', given.name || '-payment'];
        when 'over at a rail without refunds' then
            perform tests.paid(given.name, 'orange_money', null, 'orange', 9000);
            return array['amount_mismatch', given.name || '-payment'];
        when 'short, cancelled' then
            perform tests.paid(given.name, amount => 8000);
            perform tests.cancel(given.name);
            return array['amount_mismatch', given.name || '-payment'];
        when 'short, paid otherwise' then
            perform tests.paid(given.name, amount => 8000);
            perform tests.begin_payment(
                given.name || '-other', given.name, 'mtn_momo', '+237650000000', '{mtn}'
            );
            perform tests.apply(given.name || '-other', 'paid');
            return array['amount_mismatch', given.name || '-payment'];
        when 'no sum' then
            perform tests.place_order(
                given.name, 'amina', jsonb_build_array(tests.item('shoe', 1))
            );
            v_id := tests.begin_payment(given.name || '-payment', given.name) ->> 'payment_id';
            perform tests.as_service(format(
                'service.apply_payment_result(%L, ''paid'', null, null, null, null, null, ''poll'','
                ' null)', v_id
            ));
            return array['currency_mismatch', given.name || '-payment'];
        when 'naira' then
            perform tests.paid(given.name, amount => 50, currency => 'NGN');
            return array['currency_mismatch', given.name || '-payment'];
        when 'twice' then
            perform tests.place_order(
                given.name, 'amina', jsonb_build_array(tests.item('shoe', 1))
            );
            perform tests.begin_payment(given.name || '-payment', given.name);
            perform tests.begin_payment(
                given.name || '-other', given.name, 'orange_money', null, '{orange}'
            );
            perform tests.apply(given.name || '-payment', 'paid');
            perform tests.apply(given.name || '-other', 'paid');
            return array['duplicate_payment', given.name || '-other'];
        when 'twice, on its way back' then
            perform tests.place_order(
                given.name, 'amina', jsonb_build_array(tests.item('shoe', 1))
            );
            perform tests.begin_payment(given.name || '-payment', given.name);
            perform tests.begin_payment(
                given.name || '-other', given.name, 'mtn_momo', '+237650000000', '{mtn}'
            );
            perform tests.apply(given.name || '-payment', 'paid');
            perform tests.apply(given.name || '-other', 'paid');
            return array['duplicate_payment', given.name || '-other'];
        when 'late' then
            perform tests.place_order(
                given.name, 'amina', jsonb_build_array(tests.item('shoe', 1))
            );
            perform tests.begin_payment(
                given.name || '-payment', given.name, 'orange_money', null, '{orange}'
            );
            perform tests.cancel(given.name);
            perform tests.apply(given.name || '-payment', 'paid');
            return array['late_payment', given.name || '-payment'];
        when 'failed' then
            perform tests.paid(given.name);
            perform tests.failed_refund(given.name);
            return array['failed_refund', given.name || '-refund'];
        when 'failed, handset known' then
            perform tests.paid(given.name, 'mtn_momo', '+237650000000', 'mtn');
            perform tests.failed_refund(given.name);
            return array['failed_refund', given.name || '-refund'];
        when 'failed, asked for again' then
            perform tests.paid(given.name, 'mtn_momo', '+237650000000', 'mtn');
            perform tests.failed_refund(given.name);
            perform tests.refund(given.name || '-again', given.name || '-payment');
            return array['failed_refund', given.name || '-refund'];
        when 'by hand' then
            perform tests.paid(given.name, 'orange_money', null, 'orange');
            perform tests.refund(given.name || '-refund', given.name || '-payment');
            return array['manual_refund', given.name || '-refund'];
        when 'by hand, handset known' then
            v_id := tests.paid(given.name, 'orange_money', null, 'orange');
            perform tests.refund(given.name || '-refund', given.name || '-payment');
            update public.payments set payer_account = '+237690000000' where id = v_id;
            return array['manual_refund', given.name || '-refund'];
        when 'other sum back' then
            perform tests.paid(given.name);
            perform tests.refund(given.name || '-refund', given.name || '-payment');
            perform tests.send_refund(given.name || '-refund');
            perform tests.refund_result(given.name || '-refund', 'refunded', 8400, 'XAF');
            return array['refund_mismatch', given.name || '-refund'];
        when 'back twice' then
            perform tests.paid(given.name);
            perform tests.failed_refund(given.name);
            perform tests.refunded(given.name || '-again', given.name || '-payment');
            perform tests.refund_result(given.name || '-refund', 'refunded');
            return array['refund_mismatch', given.name || '-refund'];
        when 'reversed' then
            perform tests.paid(given.name);
            perform tests.apply(given.name || '-payment', 'refunded', reason => 'chargeback');
            return array['reversed_by_gateway', given.name || '-payment'];
        when 'reversed in quarantine' then
            perform tests.paid(given.name, amount => 8000);
            perform tests.apply(given.name || '-payment', 'refunded', reason => 'void');
            return array['reversed_by_gateway', given.name || '-payment'];
        when 'reversed, a part is back' then
            perform tests.paid(given.name);
            perform tests.refunded(given.name || '-refund', given.name || '-payment', 500);
            perform tests.apply(given.name || '-payment', 'refunded', reason => 'chargeback');
            return array['reversed_by_gateway', given.name || '-payment'];
        when 'reversed, asked for' then
            perform tests.paid(given.name);
            perform tests.apply(given.name || '-payment', 'refunded', reason => 'chargeback');
            perform tests.refund(given.name || '-refund', given.name || '-payment');
            return array['reversed_by_gateway', given.name || '-payment'];
        when 'unknown' then
            perform tests.place_order(
                given.name, 'amina', jsonb_build_array(tests.item('shoe', 1))
            );
            v_id := tests.begin_payment(given.name || '-payment', given.name) ->> 'payment_id';
            update public.payments set created_at = now() - interval '25 hours' where id = v_id;
            perform tests.as_service(format('service.record_payment_check(%L, ''down'')', v_id));
            return array['unknown_outcome', given.name || '-payment'];
        when 'unknown refund' then
            perform tests.paid(given.name);
            v_id := tests.refund(given.name || '-refund', given.name || '-payment')
                ->> 'refund_id';
            perform tests.send_refund(given.name || '-refund');
            update public.refunds set created_at = now() - interval '73 hours' where id = v_id;
            perform tests.as_service(format('service.record_refund_check(%L, ''down'')', v_id));
            return array['unknown_refund', given.name || '-refund'];
        when 'foreign' then
            perform tests.place_order(
                given.name, 'amina', jsonb_build_array(tests.item('shoe', 1))
            );
            perform tests.begin_payment(given.name || '-payment', given.name);
            perform tests.paid(given.name || '-neighbour');
            perform tests.apply(
                given.name || '-payment', 'paid',
                gateway_transaction_id => 'T-' || given.name || '-neighbour'
            );
            return array['ambiguous_reference', given.name || '-payment'];
        when 'nobody''s' then
            v_id := tests.notice('key-' || given.name, array['mg-nobody']) ->> 'event_id';
            perform tests.name_it(given.name, v_id);
            perform tests.as_service(format(
                'service.record_webhook_handled(%L, ''unmatched'')', v_id
            ));
            return array['unmatched_notice', given.name];
        else
            -- kinds that other tests lead to, on a paid order of their own
            v_id := tests.paid(given.name);
            perform private.open_payment_exception(given.scenario, payment_id => v_id);
            return array[given.scenario, given.name || '-payment'];
    end case;
end
$$;

-- What is offered, and nothing else ---------------------------------------------------------------

create table tests.offers (place serial, scenario text, actions text []);
insert into tests.offers (scenario, actions) values
('short', '{recheck, accept, refund, mark_refunded}'),
('over', '{recheck, accept, refund, mark_refunded}'),
('over at a rail without refunds', '{recheck, accept, refund, mark_refunded}'),
('short, cancelled', '{recheck, refund, mark_refunded}'),
('short, paid otherwise', '{recheck, refund, mark_refunded}'),
('no sum', '{recheck, dismiss}'),
('naira', '{recheck, refund, mark_refunded}'),
('twice', '{refund, mark_refunded, dismiss}'),
('twice, on its way back', '{dismiss}'),
('late', '{refund, mark_refunded, dismiss}'),
('failed', '{retry, mark_refunded, dismiss}'),
('failed, handset known', '{retry, pay_out, mark_refunded, dismiss}'),
('failed, asked for again', '{dismiss}'),
('by hand', '{mark_refunded, dismiss}'),
('by hand, handset known', '{mark_refunded, pay_out, dismiss}'),
('other sum back', '{recheck, mark_refunded}'),
('back twice', '{dismiss}'),
('reversed', '{accept, dismiss}'),
('reversed in quarantine', '{recheck, accept, dismiss}'),
('reversed, a part is back', '{accept, dismiss}'),
('reversed, asked for', '{dismiss}'),
('unknown', '{recheck, dismiss}'),
('unknown refund', '{recheck, retry, mark_refunded}'),
('foreign', '{recheck, dismiss}'),
('nobody''s', '{dismiss}'),
('missing_in_statement', '{dismiss}'),
('statement_differs', '{dismiss}'),
('unknown_in_statement', '{dismiss}'),
('invariant_violated', '{dismiss}');

create table tests.rows as
select o.place, tests.given(o.scenario, 'offered-' || o.place) as row
from tests.offers as o;
select is(
    private.safe_actions(tests.exception(r.row[1], r.row[2])), o.actions,
    o.scenario || ': offers exactly its safe actions'
)
from tests.offers as o
inner join tests.rows as r on o.place = r.place
order by o.place;
create table tests.refusals as
select o.place, a.action, tests.resolve_sql(r.row[1], r.row[2], a.action, 'why') as sql
from tests.offers as o
inner join tests.rows as r on o.place = r.place
cross join unnest(array[
    'recheck', 'refund', 'accept', 'retry', 'pay_out', 'mark_refunded', 'dismiss', 'settled',
    'RECHECK', ''
]) as a (action)
where a.action <> all(o.actions);
grant select on tests.offers, tests.refusals to public;
select tests.remember();
select tests.act_as('chioma');
select is(
    (
        select count(*) from tests.refusals as f
        cross join lateral tests.attempt(f.sql) as t
        where f.place = o.place
            and concat_ws('/', t.state, t.hint, t.detail)
            <> 'PT409/exception_action_refused/' || f.action
    ),
    0::bigint, o.scenario || ': every other is refused'
)
from tests.offers as o
order by o.place;
select tests.act_as_owner();
select tests.nothing_changed('and changes nothing');

-- What comes of each ------------------------------------------------------------------------------

create table tests.cases (
    place serial, scenario text, action text, wanted text, work text
);
insert into tests.cases (scenario, action, wanted, work) values
-- another sum
('short', 'recheck',
    'pending processing: *-payment pending 8000.00 XAF - 0.00; '
    'amount_mismatch *-payment recheck', 'reconcile_payments *-payment'),
('short', 'accept',
    'paid paid: *-payment paid winner 8000.00 XAF - 0.00; amount_mismatch *-payment accept',
    'send_email'),
('over', 'accept',
    'paid paid: *-payment paid winner 9000.00 XAF - 0.00, '
    '*-1 gateway kora pending 500.00 XAF tax 0.00; amount_mismatch *-payment accept',
    'send_email, send_refund *-1'),
('over at a rail without refunds', 'accept',
    'paid paid: *-payment paid winner 9000.00 XAF - 0.00, '
    '*-1 manual orange pending 500.00 XAF tax 0.00; '
    'amount_mismatch *-payment accept, manual_refund *-1 open',
    'send_email, send_email, send_email'),
('short', 'refund',
    'pending processing: *-payment paid 8000.00 XAF - 0.00, '
    '*-1 gateway kora pending 8000.00 XAF tax 0.00; amount_mismatch *-payment refund',
    'send_refund *-1'),
('short', 'mark_refunded',
    'pending processing: *-payment refunded 8000.00 XAF - 8000.00, '
    '*-1 manual kora refunded 8000.00 XAF tax 0.00; amount_mismatch *-payment mark_refunded',
    'send_email'),
('short, cancelled', 'refund',
    'cancelled processing: *-payment paid 8000.00 XAF - 0.00, '
    '*-1 gateway kora pending 8000.00 XAF tax 0.00; amount_mismatch *-payment refund',
    'send_refund *-1'),
('short, paid otherwise', 'refund',
    'paid paid: *-other paid winner 8500.00 XAF - 0.00, *-payment paid 8000.00 XAF - 0.00, '
    '*-1 gateway kora pending 8000.00 XAF tax 0.00; amount_mismatch *-payment refund',
    'send_refund *-1'),
('no sum', 'recheck',
    'pending processing: *-payment pending nothing - 0.00; currency_mismatch *-payment recheck',
    'reconcile_payments *-payment'),
-- another currency
('naira', 'refund',
    'pending processing: *-payment paid 50.00 NGN - 0.00, '
    '*-1 gateway kora pending 50.00 NGN tax 0.00; currency_mismatch *-payment refund',
    'send_refund *-1'),
('naira', 'mark_refunded',
    'pending processing: *-payment refunded 50.00 NGN - 50.00, '
    '*-1 manual kora refunded 50.00 NGN tax 0.00; currency_mismatch *-payment mark_refunded',
    'send_email'),
-- money that bought nothing
('twice', 'refund',
    'paid paid: *-other paid 8500.00 XAF - 0.00, *-payment paid winner 8500.00 XAF - 0.00, '
    '*-1 manual orange pending 8500.00 XAF tax 0.00; '
    'duplicate_payment *-other refund, manual_refund *-1 open', 'send_email, send_email'),
('twice', 'mark_refunded',
    'paid paid: *-other refunded 8500.00 XAF - 8500.00, *-payment paid winner 8500.00 XAF - 0.00, '
    '*-1 manual orange refunded 8500.00 XAF tax 0.00; duplicate_payment *-other mark_refunded',
    'send_email'),
('twice', 'dismiss',
    'paid paid: *-other paid 8500.00 XAF - 0.00, *-payment paid winner 8500.00 XAF - 0.00; '
    'duplicate_payment *-other dismiss', ''),
('late', 'refund',
    'cancelled processing: *-payment paid 8500.00 XAF - 0.00, '
    '*-1 manual orange pending 8500.00 XAF tax 0.00; '
    'late_payment *-payment refund, manual_refund *-1 open', 'send_email, send_email'),
('late', 'mark_refunded',
    'cancelled processing: *-payment refunded 8500.00 XAF - 8500.00, '
    '*-1 manual orange refunded 8500.00 XAF tax 0.00; late_payment *-payment mark_refunded',
    'send_email'),
('late', 'dismiss',
    'cancelled processing: *-payment paid 8500.00 XAF - 0.00; late_payment *-payment dismiss', ''),
-- a refund that failed
('failed', 'retry',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00, '
    '*-1 gateway kora pending 8500.00 XAF tax 1372.00, '
    '*-refund gateway kora failed 8500.00 XAF tax 1372.00; failed_refund *-refund retry',
    'send_refund *-1'),
('failed, handset known', 'pay_out',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00, '
    '*-1 payout mtn pending 8500.00 XAF tax 1372.00, '
    '*-refund gateway mtn failed 8500.00 XAF tax 1372.00; failed_refund *-refund pay_out',
    'send_refund *-1'),
('failed', 'mark_refunded',
    'paid refunded: *-payment refunded winner 8500.00 XAF - 8500.00, '
    '*-refund gateway kora refunded 8500.00 XAF tax 1372.00; '
    'failed_refund *-refund mark_refunded', 'send_email'),
('failed', 'dismiss',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00, '
    '*-refund gateway kora failed 8500.00 XAF tax 1372.00; failed_refund *-refund dismiss', ''),
('failed, asked for again', 'dismiss',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00, '
    '*-again gateway mtn pending 8500.00 XAF tax 1372.00, '
    '*-refund gateway mtn failed 8500.00 XAF tax 1372.00; failed_refund *-refund dismiss', ''),
-- a refund by hand
('by hand', 'mark_refunded',
    'paid refunded: *-payment refunded winner 8500.00 XAF - 8500.00, '
    '*-refund manual orange refunded 8500.00 XAF tax 1372.00; '
    'manual_refund *-refund mark_refunded', 'send_email'),
('by hand', 'dismiss',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00, '
    '*-refund manual orange cancelled 8500.00 XAF tax 1372.00; manual_refund *-refund dismiss', ''),
('by hand, handset known', 'pay_out',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00, '
    '*-1 payout kora pending 8500.00 XAF tax 1372.00, '
    '*-refund manual orange cancelled 8500.00 XAF tax 1372.00; manual_refund *-refund pay_out',
    'send_refund *-1'),
-- another sum than asked for went back
('other sum back', 'recheck',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00, '
    '*-refund gateway kora processing 8500.00 XAF tax 1372.00; refund_mismatch *-refund recheck',
    'check_refund *-refund'),
('other sum back', 'mark_refunded',
    'paid refunded: *-payment refunded winner 8500.00 XAF - 8500.00, '
    '*-refund gateway kora refunded 8500.00 XAF tax 1372.00; '
    'refund_mismatch *-refund mark_refunded', 'send_email'),
('back twice', 'dismiss',
    'paid refunded: *-payment refunded winner 8500.00 XAF - 8500.00, '
    '*-again gateway kora refunded 8500.00 XAF tax 1372.00, '
    '*-refund gateway kora failed 8500.00 XAF tax 1372.00; '
    'failed_refund *-refund open, refund_mismatch *-refund dismiss', ''),
-- the gateway took it back
('reversed', 'accept',
    'paid refunded: *-payment refunded winner 8500.00 XAF - 8500.00, '
    '*-1 manual kora refunded 8500.00 XAF tax 1372.00; reversed_by_gateway *-payment accept',
    'send_email'),
('reversed', 'dismiss',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00; reversed_by_gateway *-payment dismiss',
    ''),
('reversed in quarantine', 'dismiss',
    'pending processing: *-payment pending 8000.00 XAF - 0.00; '
    'amount_mismatch *-payment open, reversed_by_gateway *-payment dismiss', ''),
('reversed, a part is back', 'accept',
    'paid refunded: *-payment refunded winner 8500.00 XAF - 8500.00, '
    '*-1 manual kora refunded 8000.00 XAF tax 1291.00, '
    '*-refund gateway kora refunded 500.00 XAF tax 81.00; reversed_by_gateway *-payment accept',
    'send_email'),
('reversed in quarantine', 'accept',
    'pending processing: *-payment refunded 8000.00 XAF - 8000.00, '
    '*-1 manual kora refunded 8000.00 XAF tax 0.00; '
    'amount_mismatch *-payment settled, reversed_by_gateway *-payment accept', 'send_email'),
-- nobody can say
('unknown', 'recheck',
    'pending processing: *-payment pending nothing - 0.00; unknown_outcome *-payment recheck',
    'reconcile_payments *-payment'),
('unknown', 'dismiss',
    'pending failed: *-payment failed nothing - 0.00; unknown_outcome *-payment dismiss', ''),
('unknown refund', 'recheck',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00, '
    '*-refund gateway kora processing 8500.00 XAF tax 1372.00; unknown_refund *-refund recheck',
    'check_refund *-refund'),
('unknown refund', 'retry',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00, '
    '*-1 gateway kora pending 8500.00 XAF tax 1372.00, '
    '*-refund gateway kora failed 8500.00 XAF tax 1372.00; unknown_refund *-refund retry',
    'send_refund *-1'),
('unknown refund', 'mark_refunded',
    'paid refunded: *-payment refunded winner 8500.00 XAF - 8500.00, '
    '*-refund gateway kora refunded 8500.00 XAF tax 1372.00; '
    'unknown_refund *-refund mark_refunded', 'send_email'),
('foreign', 'recheck',
    'pending processing: *-payment pending nothing - 0.00; '
    'ambiguous_reference *-payment recheck', 'reconcile_payments *-payment'),
-- it is polled still, and will end by itself
('foreign', 'dismiss',
    'pending processing: *-payment pending nothing - 0.00; '
    'ambiguous_reference *-payment dismiss', ''),
('statement_differs', 'dismiss',
    'paid paid: *-payment paid winner 8500.00 XAF - 0.00; statement_differs *-payment dismiss', '');

create function tests.after(name text) returns text
language sql stable security definer as $$
    select replace(
        format(
            '%s %s: %s; %s', o.status, o.payment_status,
            array_to_string(tests.money(after.name), ', '),
            array_to_string(tests.desk(after.name), ', ')
        ),
        after.name, '*'
    )
    from public.orders as o
    where o.id = tests.id(after.name)
$$;
create table tests.old_work (id uuid primary key);
-- the rows of work that an action made, and that are due
create function tests.work_of(name text) returns text
language sql stable security definer as $$
    select coalesce(string_agg(w.line, ', ' order by w.line), '')
    from (
        select replace(
            concat_ws(
                ' ', o.job,
                (
                    select n.name from tests.names as n
                    where n.id in (
                        (o.args ->> 'payment_id')::uuid, (o.args ->> 'refund_id')::uuid
                    )
                )
            ),
            work_of.name, '*'
        ) as line
        from private.outbox as o
        where o.available_at <= now()
            and not exists (select from tests.old_work as w where w.id = o.id)
    ) as w
$$;
create table tests.resolved (
    place integer primary key, scenario text, action text, row text [], first jsonb, work text
);
create function tests.resolves(given tests.cases) returns void
language plpgsql as $$
declare
    v_name text := 'case-' || given.place;
    v_row text [] := tests.given(given.scenario, v_name);
    v_first jsonb;
begin
    delete from tests.old_work;
    insert into tests.old_work select o.id from private.outbox as o;
    v_first := tests.resolve('chioma', v_row[1], v_row[2], given.action, '  I saw to it ');
    perform tests.name_it(v_name || '-1', r.id)
    from public.refunds as r
    inner join tests.names as o on r.order_id = o.id and o.name = v_name
    where not exists (select from tests.names as n where n.id = r.id);
    insert into tests.resolved values (
        given.place, given.scenario, given.action, v_row, v_first, tests.work_of(v_name)
    );
end
$$;
select count(tests.resolves(c) is null) from tests.cases as c;
select is(
    tests.after('case-' || c.place), c.wanted, format('%s, %s', c.scenario, c.action)
)
from tests.cases as c
order by c.place;
select is(r.work, c.work, format('%s, %s: the work that it makes', c.scenario, c.action))
from tests.cases as c
inner join tests.resolved as r on c.place = r.place
order by c.place;
select is(
    (
        select count(*) from tests.resolved as r
        where r.first @> jsonb_build_object(
            'status', 'resolved', 'resolution', r.action, 'note', 'I saw to it',
            'resolved_by', tests.id('chioma'), 'resolved_at', to_jsonb(now())
        ) and r.first -> 'actions' = '[]'
    ),
    (select count(*) from tests.cases), 'each row says who, what and why, and offers nothing more'
);

-- said again, by another admin, too
create table tests.again as
select
    r.place, r.scenario, r.action, r.first,
    tests.resolve_sql(r.row[1], r.row[2], r.action, 'I saw to it') as sql,
    tests.resolve_sql(
        r.row[1], r.row[2], case r.action when 'dismiss' then 'recheck' else 'dismiss' end, 'why'
    ) as other
from tests.resolved as r;
create function tests.run(sql text) returns jsonb
language plpgsql as $$
declare
    v_row jsonb;
begin
    execute run.sql into v_row;
    return v_row;
end
$$;
grant select on tests.again to public;
select tests.remember();
select tests.act_as('dieudonne');
select is(
    tests.run(a.sql) - 'title', a.first - 'title',
    format('%s, %s: twice is once', a.scenario, a.action)
)
from tests.again as a
order by a.place;
select is(
    (
        select count(*) from tests.again as a
        cross join lateral tests.attempt(a.other) as f
        where concat_ws('/', f.state, f.hint, f.detail) = 'PT409/exception_resolved/' || a.action
    ),
    (select count(*) from tests.again), 'anything else comes too late'
);
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');
select tests.books_hold('after all of them the books agree');

-- What is posted, told and traced -----------------------------------------------------------------

create function tests.case_of(scenario text, action text) returns text
language sql stable as $$
    select 'case-' || c.place from tests.cases as c
    where c.scenario = case_of.scenario and c.action = case_of.action
$$;
select is(
    tests.postings(p.kind, tests.id(tests.case_of(p.scenario, p.action) || p.subject)), p.wanted,
    format('%s, %s: posts its %s', p.scenario, p.action, p.kind)
)
from (
    values
    ('short', 'accept', 'sale', '',
        array['unallocated_receipts XAF 8000.00', 'payment_differences XAF 500.00',
            'sales XAF -4193.00', 'shipping_income XAF -2935.00', 'vat_payable XAF -1372.00']),
    ('over', 'accept', 'sale', '',
        array['unallocated_receipts XAF 8500.00', 'sales XAF -4193.00',
            'shipping_income XAF -2935.00', 'vat_payable XAF -1372.00']),
    ('short', 'mark_refunded', 'refund', '-1',
        array['unallocated_receipts XAF 8000.00', 'gateway_receivable kora XAF -8000.00']),
    ('naira', 'mark_refunded', 'refund', '-1',
        array['unallocated_receipts NGN 50.00', 'gateway_receivable kora NGN -50.00']),
    ('reversed', 'accept', 'refund', '-1',
        array['refunds XAF 7128.00', 'vat_payable XAF 1372.00',
            'gateway_receivable kora XAF -8500.00'])
) as p (scenario, action, kind, subject, wanted);
select results_eq(
    $$ select o.job, tests.name_of((o.args ->> 'payment_id')::uuid), p.next_check_at
       from private.outbox as o
       inner join public.payments as p on p.id = (o.args ->> 'payment_id')::uuid
       where o.dedupe_key is null
           and p.id = tests.id(tests.case_of('unknown', 'recheck') || '-payment') $$,
    $$ select 'reconcile_payments', tests.case_of('unknown', 'recheck') || '-payment', now() $$,
    'a recheck is planned on the row, too, should its job die'
);
select results_eq(
    $$ select o.job, r.next_check_at
       from private.outbox as o
       inner join public.refunds as r on r.id = (o.args ->> 'refund_id')::uuid
       where o.dedupe_key is null
           and r.id = tests.id(tests.case_of('unknown refund', 'recheck') || '-refund') $$,
    $$ values ('check_refund', now()) $$, 'so is a refund''s'
);
select is(
    (select p.failure_reason from tests.payment(tests.case_of('unknown', 'dismiss') || '-payment')
        as p),
    'dismissed', 'an attempt that was given up says so'
);
select results_eq(
    $$ select e.kind, e.actor_type, e.actor_id, e.refund_id, e.detail
       from private.payment_events as e
       where e.order_id = tests.id(tests.case_of('failed', 'retry'))
           and e.actor_type = 'admin' and e.kind <> 'refund_requested' $$,
    $$ select 'exception_resolved', 'admin', tests.id('chioma'),
           tests.id(tests.case_of('failed', 'retry') || '-refund'),
           '{"note": "I saw to it", "action": "retry", "exception": "failed_refund"}'::jsonb $$,
    'the trail says who did what about it, and why'
);
select results_eq(
    $$ select distinct r.reason, r.requested_by
       from public.refunds as r
       inner join tests.names as n on r.id = n.id
       where n.name ~ '^case-\d+-1$' order by 1 $$,
    $$ values ('Scratched', tests.id('chioma')), ('amount_mismatch', tests.id('chioma')),
           ('currency_mismatch', tests.id('chioma')), ('duplicate_payment', tests.id('chioma')),
           ('late_payment', tests.id('chioma')), ('overpaid', null),
           ('reversed_by_gateway', tests.id('chioma')) $$,
    'the shopper reads why, but not what the admin noted'
);
select is_empty(
    $$ select r.id from public.refunds as r where r.reason like '%I saw to it%' $$,
    'that stays at the desk'
);

-- One sum, two rows -------------------------------------------------------------------------------
-- given money that came twice, whose refund failed: it may go back by either row, but once

create function tests.two_rows(name text) returns void
language plpgsql as $$
begin
    perform tests.given('twice, on its way back', two_rows.name);
    perform tests.name_it(two_rows.name || '-refund', r.id)
    from public.refunds as r
    inner join tests.names as n on r.payment_id = n.id and n.name = two_rows.name || '-other';
    perform tests.send_refund(two_rows.name || '-refund');
    perform tests.refund_result(two_rows.name || '-refund', 'failed', reason => 'No');
end
$$;
select tests.two_rows('both-' || n) from unnest(array['a', 'b', 'c']) as n;
select is(
    tests.desk('both-a'),
    '{duplicate_payment both-a-other open,failed_refund both-a-refund open}',
    'given two rows about the same money'
);
select is(
    tests.resolve('chioma', 'duplicate_payment', 'both-a-other', 'refund') ->> 'status',
    'resolved', 'when it is refunded by one row'
);
select is(
    private.safe_actions(tests.exception('failed_refund', 'both-a-refund')), '{dismiss}',
    'the other has nothing to give'
);
select is(
    tests.resolve('chioma', 'failed_refund', 'both-b-refund', 'pay_out') ->> 'status',
    'resolved', 'when it is paid out by the other'
);
select is(
    private.safe_actions(tests.exception('duplicate_payment', 'both-b-other')), '{dismiss}',
    'the one has nothing to give'
);
select is(
    tests.resolve('chioma', 'failed_refund', 'both-c-refund', 'mark_refunded', 'By bank')
        ->> 'status',
    'resolved', 'when it went back by hand'
);
select is(
    tests.desk('both-c'),
    '{duplicate_payment both-c-other settled,failed_refund both-c-refund mark_refunded}',
    'both rows are closed'
);

-- Again and again: a refund that fails each time is one row each, and one sum.
select is(
    tests.given('failed', 'stubborn'), '{failed_refund,stubborn-refund}', 'given a failed refund'
);
select is(
    tests.resolve('chioma', 'failed_refund', 'stubborn-refund', 'retry', 'again') ->> 'status',
    'resolved', 'sent anew'
);
select tests.name_it('stubborn-2', r.id) from public.refunds as r
where r.order_id = tests.id('stubborn') and r.status = 'pending';
select is(tests.send_refund('stubborn-2') ->> 'is_first', 'true', 'under a name of its own');
select isnt(
    (tests.refund_row('stubborn-2')).reference, (tests.refund_row('stubborn-refund')).reference,
    'so that no rail takes it for the first'
);
select count(tests.refund_result('stubborn-2', 'failed', reason => 'No again'));
select is(
    tests.desk('stubborn'), '{failed_refund stubborn-2 open,failed_refund stubborn-refund retry}',
    'which fails, too, before a person'
);
select is(
    tests.resolve('dieudonne', 'failed_refund', 'stubborn-2', 'retry', 'once more') ->> 'status',
    'resolved', 'sent anew by another'
);
select is(
    tests.refund_result('stubborn-refund', 'refunded') ->> 'outcome', 'applied',
    'when the very first went through after all'
);
select results_eq(
    $$ select r.status::text, count(*) from public.refunds as r
       where r.order_id = tests.id('stubborn') group by 1 order by 1 $$,
    $$ values ('cancelled', 1::bigint), ('failed', 1), ('refunded', 1) $$,
    'the last is not sent'
);

-- Notes, names and who ----------------------------------------------------------------------------

select is(tests.given('short', 'n-short'), '{amount_mismatch,n-short-payment}', 'given a row');
select is(tests.given('failed', 'n-failed'), '{failed_refund,n-failed-refund}', 'and another');
select tests.remember();
create table tests.notes (place serial, kind text, subject text, action text, note text,
    refusal text, detail text, title text);
insert into tests.notes (kind, subject, action, note, refusal, detail, title) values
('amount_mismatch', 'n-short-payment', 'accept', null, 'PT400 exception_note_required', 'accept',
    'to accept without a word'),
('amount_mismatch', 'n-short-payment', 'accept', '   ', 'PT400 exception_note_required', 'accept',
    'or with blanks'),
('amount_mismatch', 'n-short-payment', 'mark_refunded', null, 'PT400 exception_note_required',
    'mark_refunded', 'to mark refunded without a word'),
('failed_refund', 'n-failed-refund', 'dismiss', null, 'PT400 exception_note_required', 'dismiss',
    'to dismiss without a word'),
('failed_refund', 'n-failed-refund', 'retry', null, 'PT400 exception_note_required', 'retry',
    'to send anew without a word'),
('amount_mismatch', 'n-short-payment', 'refund', E'a\nb', 'PT400 reason_invalid', E'a\nb',
    'a note of two lines'),
('amount_mismatch', 'n-short-payment', 'refund', repeat('é', 301), 'PT400 reason_invalid',
    repeat('é', 200), 'a note of 301 letters'),
('amount_mismatch', 'n-short-payment', 'refund', 'card 4111111111111111',
    'PT400 card_number_refused', '', 'a card number'),
('amount_mismatch', 'n-short-payment', null, 'why', 'PT409 exception_action_refused', '',
    'no action'),
('amount_mismatch', 'n-short-payment', repeat('x', 60), 'why', 'PT409 exception_action_refused',
    repeat('x', 40), 'an action that is none');
grant select on tests.notes to public;
create table tests.resolutions as
select n.place, tests.resolve_sql(n.kind, n.subject, n.action, n.note) as sql
from tests.notes as n;
grant select on tests.resolutions to public;
select tests.act_as('chioma');
select tests.refuses(r.sql, n.refusal, 'refused: ' || n.title, n.detail)
from tests.notes as n
inner join tests.resolutions as r on n.place = r.place
order by n.place;
select tests.refuses(
    format('select public.resolve_exception(%L, ''dismiss'', ''why'')', i.id),
    'PT404 exception_not_found', 'refused: ' || i.title, coalesce(i.id::text, '')
)
from (
    values (tests.id('n-short'), 'an order''s id'), (null, 'no id')
) as i (id, title);
select tests.act_as('amina');
select tests.refuses(r.sql, 'PT403 admin_required', 'a shopper may not, not about her own money')
from tests.resolutions as r where r.place = 1;
select tests.refuses(
    format('select public.resolve_exception(%L, ''dismiss'', ''why'')', tests.id('n-short')),
    'PT403 admin_required', 'nor learn which rows there are'
);
select tests.refuses(
    format('select private.resolve_exception(%L, ''dismiss'', ''why'')', tests.id('n-short')),
    'PT403 admin_required', 'nor by the door behind it'
);
select tests.act_as('bongani');
select tests.refuses(r.sql, 'PT403 admin_required', 'nor another shopper')
from tests.resolutions as r where r.place = 1;
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(r.sql, 'PT401 authentication_required', 'nor a token without a subject')
from tests.resolutions as r where r.place = 1;
select tests.act_as_anon();
select tests.denies(r.sql, 'a guest may not') from tests.resolutions as r where r.place = 1;
select tests.act_as_service_role();
select tests.denies(r.sql, 'nor service_role') from tests.resolutions as r where r.place = 1;
select tests.act_as_service();
select tests.denies(r.sql, 'nor the service''s login')
from tests.resolutions as r where r.place = 1;
select tests.act_as_owner();
select tests.nothing_changed('and nothing changes');
select is(
    tests.resolve('chioma', 'amount_mismatch', 'n-short-payment', 'refund') ->> 'note', null,
    'to give back what does not fit needs no word'
);
create table tests.late_call as
select tests.resolve_sql('amount_mismatch', 'n-short-payment', 'recheck', 'why') as sql;
grant select on tests.late_call to public;
select tests.act_as('dieudonne');
select tests.refuses(
    c.sql, 'PT409 exception_resolved', 'then nobody does anything else about it', 'refund'
)
from tests.late_call as c;
select tests.act_as_owner();
select tests.books_hold('and the books agree');

select * from finish();
rollback;
