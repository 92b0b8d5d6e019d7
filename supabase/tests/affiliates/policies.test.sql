-- An affiliate sees their own row, codes and payouts, never who bought; an admin sees all; nobody
-- writes.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(106);

-- given two affiliates with a code, a paid use and a payout each, an admin with a code, a buyer
select tests.make_user('amina');
select tests.make_affiliate('pat', threshold_uses => 1);
select tests.make_affiliate('sam', threshold_uses => 1);
select tests.make_admin('chioma');
select tests.make_product('shoe');
select tests.make_promo_code('PAT10', 'pat');
select tests.make_promo_code('SAM10', 'sam');
select tests.make_promo_code('CHIOMA', 'chioma');
select tests.place_order(
    'order-' || c.code, 'amina', jsonb_build_array(tests.item('shoe', 1)), 'ZA', c.code
)
from (values ('PAT10'), ('SAM10'), ('CHIOMA')) as c (code);
select count(tests.pay('order-' || c.code))
from (values ('PAT10'), ('SAM10'), ('CHIOMA')) as c (code);

create function tests.seen_affiliates() returns text []
language sql stable as $$
    select array_agg(n.name order by n.name)
    from public.affiliates as a inner join tests.names as n on a.user_id = n.id
$$;
create function tests.seen_codes() returns text []
language sql stable as $$
    select array_agg(p.code || ' ' || p.usage_count order by p.code)
    from public.promo_codes as p inner join tests.names as n on p.id = n.id
$$;
create function tests.seen_stats() returns text []
language sql stable as $$
    select array_agg(concat_ws(' ', n.name, b.name) order by n.name)
    from public.affiliate_stats as s
    inner join tests.names as n on s.promo_code_id = n.id
    inner join tests.names as b on s.user_id = b.id
$$;
create function tests.seen_payouts() returns text []
language sql stable as $$
    select array_agg(concat_ws(' ', n.name, p.block_number, p.payout_amount) order by n.name)
    from public.affiliate_payouts as p inner join tests.names as n on p.promo_code_id = n.id
$$;

select tests.has_policies('public.affiliates', 'select_own_or_admin: select to authenticated');
select tests.has_policies('public.promo_codes', 'select_own_or_admin: select to authenticated');
select tests.has_policies('public.affiliate_stats', 'select_admin: select to authenticated');
select tests.has_policies(
    'public.affiliate_payouts', 'select_own_or_admin: select to authenticated'
);
select tests.remember();

-- a guest
select tests.act_as_anon();
select tests.closed('public.affiliates');
select tests.closed('public.promo_codes');
select tests.closed('public.affiliate_stats');
select tests.closed('public.affiliate_payouts');

-- an affiliate
select tests.act_as('pat');
select is(tests.seen_affiliates(), '{pat}', 'an affiliate sees their own row');
select is(tests.seen_codes(), '{"PAT10 1"}', 'and their own code with its count');
select is(tests.seen_payouts(), '{"PAT10 1 15000.00"}', 'and their own payout');
select is(tests.seen_stats(), null, 'but not who bought');
select is_empty($$ select o.id from public.orders as o $$, 'nor what');
select is(
    (select count(*) from public.affiliates) + (select count(*) from public.promo_codes)
    + (select count(*) from public.affiliate_payouts)
    + (select count(*) from public.affiliate_stats),
    3::bigint, 'and nothing of others, named or not'
);
select tests.closed('public.affiliates', 'insert', 'update', 'delete');
select tests.closed('public.promo_codes', 'insert', 'update', 'delete');
select tests.closed('public.affiliate_stats', 'insert', 'update', 'delete');
select tests.closed('public.affiliate_payouts', 'insert', 'update', 'delete');

-- another affiliate
select tests.act_as('sam');
select is(tests.seen_affiliates(), '{sam}', 'another affiliate sees their own row');
select is(tests.seen_codes(), '{"SAM10 1"}', 'and their own code');
select is(tests.seen_payouts(), '{"SAM10 1 15000.00"}', 'and their own payout');
select is(tests.seen_stats(), null, 'and no statistic');

-- who bought
select tests.act_as('amina');
select is(
    num_nonnulls(
        tests.seen_affiliates(), tests.seen_codes(), tests.seen_stats(), tests.seen_payouts()
    ),
    0, 'a shopper sees nothing of it, not even their own statistics'
);
select tests.closed('public.affiliates', 'insert', 'update', 'delete');
select tests.closed('public.promo_codes', 'insert', 'update', 'delete');
select tests.closed('public.affiliate_stats', 'insert', 'update', 'delete');
select tests.closed('public.affiliate_payouts', 'insert', 'update', 'delete');
select tests.become('authenticated', '{"role": "authenticated"}');
select is(
    num_nonnulls(
        tests.seen_affiliates(), tests.seen_codes(), tests.seen_stats(), tests.seen_payouts()
    ),
    0, 'nor does a token without a subject'
);

-- an admin
select tests.act_as('chioma');
select is(tests.seen_affiliates(), '{pat,sam}', 'an admin sees every affiliate');
select is(tests.seen_codes(), '{"CHIOMA 1","PAT10 1","SAM10 1"}', 'and every code');
select is(tests.seen_stats(), '{"CHIOMA amina","PAT10 amina","SAM10 amina"}', 'and who bought');
select is(tests.seen_payouts(), '{"PAT10 1 15000.00","SAM10 1 15000.00"}', 'and every payout');
select tests.closed('public.affiliates', 'insert', 'update', 'delete');
select tests.closed('public.promo_codes', 'insert', 'update', 'delete');
select tests.closed('public.affiliate_stats', 'insert', 'update', 'delete');
select tests.closed('public.affiliate_payouts', 'insert', 'update', 'delete');

-- the API key's role
select tests.act_as_service_role();
select is(cardinality(tests.seen_affiliates()), 2, 'service_role sees every affiliate');
select is(cardinality(tests.seen_codes()), 3, 'and every code');
select is(cardinality(tests.seen_stats()), 3, 'and every statistic');
select is(cardinality(tests.seen_payouts()), 2, 'and every payout');
select tests.closed('public.affiliates', 'insert', 'update', 'delete');
select tests.closed('public.promo_codes', 'insert', 'update', 'delete');
select tests.closed('public.affiliate_stats', 'insert', 'update', 'delete');
select tests.closed('public.affiliate_payouts', 'insert', 'update', 'delete');

-- the service's login has functions, not tables
select tests.act_as_service();
select tests.closed('public.affiliates');
select tests.closed('public.promo_codes');
select tests.closed('public.affiliate_stats');
select tests.closed('public.affiliate_payouts');

select tests.act_as_owner();
select tests.nothing_changed('and no row of the shop is another one');

select set_eq(
    $$ select p.proname::text, r.role_name
       from pg_catalog.pg_proc as p
       cross join unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
           as r (role_name)
       where p.proname ~ '(promo|affiliate|payout)'
           and p.pronamespace in (
               'public'::regnamespace, 'service'::regnamespace, 'private'::regnamespace)
           and has_function_privilege(r.role_name, p.oid, 'execute') $$,
    $$ values ('check_promo_code', 'authenticated') $$,
    'asking what a code is worth is all that anybody may call'
);

select * from finish();
rollback;
