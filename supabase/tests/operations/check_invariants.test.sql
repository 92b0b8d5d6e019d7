-- What must hold of the shop as a whole: each view is empty, sees its breach, and is empty once
-- that is mended; what the nightly check finds goes before a person, once.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(53);

-- given an admin, a paid order, an unpaid one with a code, and one whose money goes back by hand
select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('chioma');
select tests.make_affiliate('pat');
select tests.make_promo_code('PAT10', 'pat');
select tests.make_product('shoe');
select tests.place_order('paid', 'amina', jsonb_build_array(tests.item('shoe', 2)));
select count(tests.begin_payment('payment', 'paid'));
select count(tests.apply('payment', 'paid', fee => 200));
select tests.place_order(
    'open', 'amina', jsonb_build_array(tests.item('shoe', 1)), promo_code => 'PAT10'
);
select count(tests.begin_payment('open-payment', 'open'));
select tests.place_order('by-hand', 'amina', jsonb_build_array(tests.item('shoe', 1)), 'ZA');
select count(tests.begin_payment('hand-payment', 'by-hand', 'card', null, '{paygate}'));
select count(tests.apply('hand-payment', 'paid'));
select tests.name_it('refund', (tests.as_service(format(
    'service.begin_refund(%L, %L, null, null, ''scratched'', ''refund-key'')',
    tests.id('chioma'), tests.id('hand-payment')
)) ->> 'refund_id')::uuid);
create table tests.desk as
select * from private.payment_exceptions as e where e.refund_id = tests.id('refund');

-- What all views say, in their order.
create function tests.found() returns text []
language plpgsql as $$
declare
    v_view text;
    v_rows text [];
    v_found text [] := '{}';
begin
    for v_view in
        select v.viewname::text from pg_catalog.pg_views as v
        where v.schemaname = 'private' and v.viewname like 'invariant\_%' order by 1
    loop
        execute format(
            'select array_agg(concat_ws('' '', i.check_name, n.name, i.detail) order by i.detail) '
            'from private.%I as i left join tests.names as n on i.subject_id = n.id',
            v_view
        ) into v_rows;
        v_found := v_found || coalesce(v_rows, '{}');
    end loop;
    return v_found;
end
$$;
-- Clean, violated, detected, mended, clean.
create function tests.proves_invariant(title text, breach text, wanted text [], mend text)
returns setof text
language plpgsql as $$
begin
    return next is(tests.found(), '{}', title || ': so it is');
    execute breach;
    return next is(tests.found(), wanted, title || ': a breach is seen');
    execute mend;
    return next is(tests.found(), '{}', title || ': and gone once it is mended');
end
$$;

select set_eq(
    $$ select v.viewname::text from pg_catalog.pg_views as v
       where v.schemaname = 'private' and v.viewname like 'invariant\_%' $$,
    array[
        'invariant_affiliate_payouts', 'invariant_category_counts', 'invariant_ledger',
        'invariant_orders', 'invariant_payments', 'invariant_prices', 'invariant_product_ratings',
        'invariant_promo_codes', 'invariant_refunds', 'invariant_search', 'invariant_stock',
        'invariant_variant_stock'
    ],
    'these are the invariants'
);
select tests.proves_invariant(
    'stock is held for unpaid orders',
    'update public.product_stock set reserved = 2 where product_id = tests.id(''shoe'')',
    '{"stock shoe reserved 2, unpaid orders hold 1"}',
    'update public.product_stock set reserved = 1 where product_id = tests.id(''shoe'')'
);
insert into public.product_variants (id, product_id, external_id)
values (tests.name_it('large', gen_random_uuid()), tests.id('shoe'), '44');
select tests.proves_invariant(
    'so are the pieces of a variant',
    'update public.product_variants set reserved = 1 where id = tests.id(''large'')',
    '{"variant_stock large reserved 1, unpaid orders hold 0"}',
    'update public.product_variants set reserved = 0 where id = tests.id(''large'')'
);
select tests.proves_invariant(
    'stars are those of approved reviews',
    'insert into public.product_ratings (product_id, stars_5) values (tests.id(''shoe''), 1)',
    '{"product_ratings shoe stars 0 0 0 0 1, approved reviews have 0 0 0 0 0"}',
    'delete from public.product_ratings'
);
select tests.proves_invariant(
    'what is on sale can be found',
    'delete from private.search_documents where listing_id = tests.id(''shoe'')',
    '{"search shoe on sale and not to be found"}',
    'select private.refresh_search(array[tests.id(''shoe'')])'
);
select tests.proves_invariant(
    'a code''s held uses are those of unpaid orders',
    'update public.promo_codes set reserved_count = 2 where id = tests.id(''PAT10'')',
    '{"promo_codes PAT10 reserved 2 of 1 unpaid orders, used 0 of 0 statistics"}',
    'update public.promo_codes set reserved_count = 1 where id = tests.id(''PAT10'')'
);
select tests.proves_invariant(
    'a code''s final uses are its statistics',
    'update public.promo_codes set usage_count = 1 where id = tests.id(''PAT10'')',
    '{"promo_codes PAT10 reserved 1 of 1 unpaid orders, used 1 of 0 statistics"}',
    'update public.promo_codes set usage_count = 0 where id = tests.id(''PAT10'')'
);
select tests.proves_invariant(
    'a commission has its full block',
    'insert into public.affiliate_payouts (affiliate_id, promo_code_id, block_number, '
    'payout_amount, currency) select p.affiliate_id, p.id, 1, 15000, ''XAF'' '
    'from public.promo_codes as p where p.id = tests.id(''PAT10'')',
    '{"affiliate_payouts PAT10 0 uses in blocks of 100, 1 payouts"}',
    'update public.affiliate_payouts set payout_status = ''cancelled'' '
    'where promo_code_id = tests.id(''PAT10'')'
);
select tests.proves_invariant(
    'lines sum to their order',
    'update public.order_items set tax_amount = tax_amount + 1 '
    'where order_id = tests.id(''paid'')',
    (
        select array[format(
            'orders paid subtotal 10000.00 of lines 10000.00, discount 0.00 of 0.00, tax %s of %s',
            o.tax_amount, o.tax_amount + 1
        )]
        from public.orders as o where o.id = tests.id('paid')
    ),
    'update public.order_items set tax_amount = tax_amount - 1 '
    'where order_id = tests.id(''paid'')'
);
select tests.proves_invariant(
    'an open payment has its next check',
    'update public.payments set next_check_at = null where id = tests.id(''open-payment'')',
    '{"payments open-payment open, and no check is planned"}',
    'update public.payments set next_check_at = now() where id = tests.id(''open-payment'')'
);
select tests.proves_invariant(
    'a paid order has its winner',
    'update public.payments set is_winner = false where id = tests.id(''payment'')',
    '{"payments payment money arrived, paid no order and stands before nobody",'
    '"payments paid order is paid with 0 winning payments"}',
    'update public.payments set is_winner = true where id = tests.id(''payment'')'
);
select tests.proves_invariant(
    'a refund by hand stands before a person',
    'delete from private.emails where exception_id in (select d.id from tests.desk as d); '
    'delete from private.payment_exceptions where refund_id = tests.id(''refund'')',
    '{"refunds refund waits for hands and stands before nobody"}',
    'insert into private.payment_exceptions select * from tests.desk'
);
select tests.proves_invariant(
    'a transaction of the books balances',
    'insert into private.ledger_entries (transaction_id, account, currency, amount) '
    'select t.id, ''bank'', ''XAF'', 5 from private.ledger_transactions as t '
    'where t.subject_id = tests.id(''payment'') and t.kind = ''receipt''',
    '{"ledger 5.00 XAF do not balance"}',
    'insert into private.ledger_entries (transaction_id, account, currency, amount) '
    'select t.id, ''bank'', ''XAF'', -5 from private.ledger_transactions as t '
    'where t.subject_id = tests.id(''payment'') and t.kind = ''receipt'''
);
select tests.proves_invariant(
    'the books know what a gateway kept',
    'update public.payments set fee_amount = 250 where id = tests.id(''payment'')',
    '{"ledger payment gateway collected 13500.00, gave back 0.00, kept 250.00: '
    'the books say 13300.00"}',
    'update public.payments set fee_amount = 200 where id = tests.id(''payment'')'
);

-- The nightly check -------------------------------------------------------------------------------

create function tests.check_all() returns jsonb
language sql as $$ select tests.as_service('service.check_invariants()') $$;
create function tests.violations() returns text
language sql stable security definer as $$
    select string_agg(
        concat_ws(' ', n.name, e.detail, case when e.resolved_at is null then 'open' end), '; '
        order by n.name
    )
    from private.payment_exceptions as e
    left join tests.names as n on e.subject_id = n.id
    where e.kind = 'invariant_violated'
$$;

select is(tests.check_all(), '[]', 'where all holds nothing is found');
select is(tests.violations(), null, 'and nobody is asked');
update public.product_stock set reserved = 2 where product_id = tests.id('shoe');
update public.payments set next_check_at = null where id = tests.id('open-payment');
delete from private.outbox;
delete from private.emails where user_id = tests.id('chioma');
select is(
    tests.check_all(),
    jsonb_build_array(
        jsonb_build_object(
            'check_name', 'payments', 'subject_id', tests.id('open-payment'),
            'detail', 'open, and no check is planned'
        ),
        jsonb_build_object(
            'check_name', 'stock', 'subject_id', tests.id('shoe'),
            'detail', 'reserved 2, unpaid orders hold 1'
        )
    ),
    'each breach is found'
);
select is(
    tests.violations(),
    'open-payment payments: open, and no check is planned open; '
    'shoe stock: reserved 2, unpaid orders hold 1 open',
    'and stands before a person'
);
select is(
    (select count(*) from private.emails as e
     where e.user_id = tests.id('chioma') and e.template = 'exception_opened'),
    2::bigint, 'who is told of each'
);
select tests.remember();
select is(jsonb_array_length(tests.check_all()), 2, 'the next night they are found again');
select tests.nothing_changed('and stand there once');
update private.payment_exceptions
set resolved_at = now() - interval '11 hours', resolution = 'dismiss', note = 'known'
where kind = 'invariant_violated';
update public.payments set next_check_at = now() where id = tests.id('open-payment');
select is(jsonb_array_length(tests.check_all()), 1, 'what was mended is found no more');
select is(
    tests.violations(),
    'open-payment payments: open, and no check is planned; '
    'shoe stock: reserved 2, unpaid orders hold 1',
    'what was dismissed today stays dismissed'
);
update private.payment_exceptions set resolved_at = now() - interval '13 hours'
where kind = 'invariant_violated';
select is(jsonb_array_length(tests.check_all()), 1, 'but is not mended the night after');
select is(
    tests.violations(),
    'open-payment payments: open, and no check is planned; '
    'shoe stock: reserved 2, unpaid orders hold 1 open',
    'so it comes back'
);

-- Who may -----------------------------------------------------------------------------------------

select tests.act_as_anon();
select tests.denies('select service.check_invariants()', 'anon checks nothing');
select tests.act_as('chioma');
select tests.denies('select service.check_invariants()', 'nor does an admin');

select * from finish();
rollback;
