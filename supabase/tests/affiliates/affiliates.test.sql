-- What no affiliate, code, statistic or payout can be: every constraint of the four tables, among
-- them those of the seed; and who counts as an affiliate.
begin;
\ir ../_helpers.psql
select plan(70);

-- given two affiliates and an admin with a code each, an order and its statistic, a payout
select tests.make_user('amina', 'fr', 'CM');
select tests.make_affiliate('pat');
select tests.make_affiliate('sam');
select tests.make_admin('chioma');
select tests.make_product('shoe');
select tests.make_promo_code('PAT10', 'pat');
select tests.make_promo_code('SAM10', 'sam');
select tests.make_promo_code('CHIOMA', 'chioma');
select tests.make_promo_code('RAND50', 'pat', discount_amount => 50, currency => 'ZAR');
select tests.place_order(
    'order', 'amina', jsonb_build_array(tests.item('shoe', 1)), promo_code => 'PAT10'
);
insert into public.affiliate_stats (
    id, promo_code_id, affiliate_id, order_id, user_id, discount_amount, currency
)
select
    tests.name_it('stat', gen_random_uuid()), tests.id('PAT10'), a.id, tests.id('order'),
    tests.id('amina'), 500, 'XAF'
from public.affiliates as a
where a.user_id = tests.id('pat');
insert into public.affiliate_payouts (
    id, affiliate_id, promo_code_id, block_number, payout_amount, currency
)
select
    tests.name_it('payout-' || b, gen_random_uuid()), a.id, tests.id('PAT10'), b, 15000, 'XAF'
from public.affiliates as a
cross join generate_series(1, 2) as b
where a.user_id = tests.id('pat');

-- Defaults of the seed ----------------------------------------------------------------------------

select results_eq(
    $$ select a.status, a.default_commission_amount, a.currency, a.threshold_uses
       from public.affiliates as a where a.user_id = tests.id('pat') $$,
    $$ values ('approved', 15000.00, 'XAF', 100) $$,
    'an affiliate earns 15000 francs for each hundred uses'
);
insert into public.affiliates (user_id) values (tests.make_user('new'));
select results_eq(
    $$ select a.status, a.default_commission_amount, a.currency, a.threshold_uses, a.payout_channel
       from public.affiliates as a where a.user_id = tests.id('new') $$,
    $$ values ('pending', 15000.00, 'XAF', 100, null) $$,
    'so by default, and begins pending'
);
insert into public.promo_codes (code, admin_id)
select 'PLAIN', d.id from public.admins as d where d.user_id = tests.id('chioma');
select results_eq(
    $$ select p.usage_limit, p.per_user_limit, p.usage_count, p.reserved_count, p.status,
           p.starts_at, p.ends_at, p.discount_percent, p.discount_amount, p.currency
       from public.promo_codes as p where p.code = 'PLAIN' $$,
    $$ values (100, null::integer, 0, 0, 'active', now(), null::timestamptz, null::numeric,
           null::numeric, null) $$,
    'a code holds for a hundred uses from now on by default'
);
select results_eq(
    $$ select p.payout_status from public.affiliate_payouts as p
       where p.id = tests.id('payout-1') $$,
    $$ values ('pending') $$,
    'a payout begins pending'
);

-- Codes are written in capitals -------------------------------------------------------------------

select tests.make_promo_code('  summer-26_x ', 'sam');
select is(
    (select p.code from public.promo_codes as p where p.id = tests.id('  summer-26_x ')),
    'SUMMER-26_X', 'a code is stored in capitals, without the blanks around it'
);
update public.promo_codes set code = 'winter' where code = 'SUMMER-26_X';
select is(
    (select count(*) from public.promo_codes as p where p.code = 'WINTER'), 1::bigint,
    'also when it is changed'
);

-- What cannot be ----------------------------------------------------------------------------------

create table tests.breaks (table_name text, constraint_name text, sql text, title text);
insert into tests.breaks
select
    'affiliates', c.constraint_name,
    format('update public.affiliates set %s where user_id = tests.id(''pat'')', c.assignment),
    c.title
from (
    values
    ('affiliates_pkey', 'id = (select a.id from public.affiliates as a '
        'where a.user_id = tests.id(''sam''))', 'two affiliates of one id'),
    ('affiliates_user_id_key', 'user_id = tests.id(''sam'')', 'one person twice an affiliate'),
    ('affiliates_user_id_fkey', 'user_id = gen_random_uuid()', 'an affiliate who is nobody'),
    ('affiliates_currency_fkey', 'currency = ''NGN''', 'a commission in an unknown currency'),
    ('affiliates_status_is_known', 'status = ''active''', 'an affiliate of an odd status'),
    ('affiliates_commission_positive', 'default_commission_amount = 0', 'a commission of nothing'),
    ('affiliates_threshold_positive', 'threshold_uses = 0', 'a block of no uses'),
    ('affiliates_payout_channel_is_known', 'payout_channel = ''cash'', payout_account = ''x''',
        'a payout in cash'),
    ('affiliates_payout_is_whole', 'payout_channel = ''mtn''', 'a channel without an account'),
    ('affiliates_payout_is_whole', 'payout_account = ''+237650000000''',
        'an account without a channel'),
    ('affiliates_texts_are_one_line', 'note = E''a\nb''', 'a note of two lines'),
    ('affiliates_holds_no_card_number',
        'payout_channel = ''kora'', payout_account = ''4111 1111 1111 1111''',
        'a payout to a card number'),
    ('affiliates_holds_no_card_number', 'note = ''card 4111111111111111''',
        'a note of a card number')
) as c (constraint_name, assignment, title);
insert into tests.breaks
select
    'promo_codes', c.constraint_name,
    format('update public.promo_codes set %s where id = tests.id(%L)', c.assignment, c.code),
    c.title
from (
    values
    ('PAT10', 'promo_codes_pkey', 'id = tests.id(''CHIOMA'')', 'two codes of one id'),
    ('PAT10', 'promo_codes_code_key', 'code = ''sam10''', 'two codes of one name, in any case'),
    ('PAT10', 'promo_codes_code_is_plain', 'code = ''PA''', 'a code of two letters'),
    ('PAT10', 'promo_codes_code_is_plain', 'code = repeat(''A'', 33)', 'a code of 33 letters'),
    ('PAT10', 'promo_codes_code_is_plain', 'code = ''-PAT''', 'a code that begins with a hyphen'),
    ('PAT10', 'promo_codes_code_is_plain', 'code = ''PAT 10''', 'a code with a blank'),
    ('PAT10', 'promo_codes_code_is_plain', 'code = ''ÉTÉ26''', 'a code with an accent'),
    ('PAT10', 'promo_codes_has_one_owner', 'affiliate_id = null', 'a code of nobody'),
    ('PAT10', 'promo_codes_has_one_owner', 'admin_id = (select d.id from public.admins as d '
        'where d.user_id = tests.id(''chioma''))', 'a code of an affiliate and an admin'),
    ('PAT10', 'promo_codes_has_one_discount', 'discount_amount = 5, currency = ''ZAR''',
        'a code with two discounts'),
    ('PAT10', 'promo_codes_discount_is_percent', 'discount_percent = 0', 'a discount of 0 percent'),
    ('PAT10', 'promo_codes_discount_is_percent', 'discount_percent = 90.01',
        'a discount of more than 90 percent'),
    ('RAND50', 'promo_codes_discount_amount_positive', 'discount_amount = 0',
        'a discount of nothing'),
    ('RAND50', 'promo_codes_amount_has_currency', 'currency = null',
        'a discount of fifty of whatever'),
    ('PAT10', 'promo_codes_amount_has_currency', 'currency = ''ZAR''', 'a percentage of rands'),
    ('RAND50', 'promo_codes_currency_fkey', 'currency = ''NGN''',
        'a discount in an unknown currency'),
    ('PAT10', 'promo_codes_counts_not_negative', 'reserved_count = -1', 'fewer than no held uses'),
    ('PAT10', 'promo_codes_counts_not_negative', 'usage_count = -1', 'fewer than no uses'),
    ('PAT10', 'promo_codes_uses_within_limit', 'usage_limit = 1', 'a limit below what is used'),
    ('PAT10', 'promo_codes_uses_within_limit', 'usage_count = 99, reserved_count = 2',
        'more uses than the limit, held ones included'),
    ('PAT10', 'promo_codes_limits_positive', 'usage_limit = 0, usage_count = 0, reserved_count = 0',
        'a limit of no uses'),
    ('PAT10', 'promo_codes_limits_positive', 'per_user_limit = 0', 'a limit of no uses a person'),
    ('PAT10', 'promo_codes_status_is_known', 'status = ''on''', 'a code of an odd status'),
    ('PAT10', 'promo_codes_ends_after_start', 'ends_at = starts_at',
        'a code that holds for no time'),
    ('PAT10', 'promo_codes_affiliate_id_fkey', 'affiliate_id = gen_random_uuid()',
        'a code of an affiliate who is none'),
    ('CHIOMA', 'promo_codes_admin_id_fkey', 'admin_id = gen_random_uuid()',
        'a code of an admin who is none')
) as c (code, constraint_name, assignment, title);
insert into tests.breaks
select
    'affiliate_stats', c.constraint_name,
    case
        when c.assignment like 'insert %' then c.assignment
        else format(
            'update public.affiliate_stats set %s where id = tests.id(''stat'')', c.assignment)
    end, c.title
from (
    values
    ('affiliate_stats_pkey', 'insert into public.affiliate_stats select * from '
        'public.affiliate_stats as s where s.id = tests.id(''stat'')', 'two statistics of one id'),
    ('affiliate_stats_order_id_key', 'insert into public.affiliate_stats (promo_code_id, order_id, '
        'user_id, discount_amount, currency) select s.promo_code_id, s.order_id, s.user_id, 1, '
        '''XAF'' from public.affiliate_stats as s where s.id = tests.id(''stat'')',
        'an order that counts twice'),
    ('affiliate_stats_discount_not_negative', 'discount_amount = -1', 'a negative discount'),
    ('affiliate_stats_promo_code_id_fkey', 'promo_code_id = gen_random_uuid()',
        'a statistic of no code'),
    ('affiliate_stats_affiliate_id_fkey', 'affiliate_id = gen_random_uuid()',
        'a statistic of no affiliate'),
    ('affiliate_stats_order_id_fkey', 'order_id = gen_random_uuid()', 'a statistic of no order'),
    ('affiliate_stats_user_id_fkey', 'user_id = gen_random_uuid()', 'a statistic of no buyer'),
    ('affiliate_stats_currency_fkey', 'currency = ''NGN''', 'a statistic in an unknown currency')
) as c (constraint_name, assignment, title);
insert into tests.breaks
select
    'affiliate_payouts', c.constraint_name,
    format(
        'update public.affiliate_payouts set %s where id = tests.id(''payout-1'')', c.assignment
    ),
    c.title
from (
    values
    ('affiliate_payouts_pkey', 'id = tests.id(''payout-2''), block_number = 3',
        'two payouts of one id'),
    ('affiliate_payouts_block_number_key', 'block_number = 2',
        'two payouts of one block of a code'),
    ('affiliate_payouts_block_number_positive', 'block_number = 0', 'a payout of no block'),
    ('affiliate_payouts_amount_positive', 'payout_amount = 0', 'a payout of nothing'),
    ('affiliate_payouts_payout_status_is_known', 'payout_status = ''sent''',
        'a payout of an odd status'),
    ('affiliate_payouts_affiliate_id_fkey', 'affiliate_id = gen_random_uuid()',
        'a payout to nobody'),
    ('affiliate_payouts_promo_code_id_fkey', 'promo_code_id = gen_random_uuid()',
        'a payout of no code'),
    ('affiliate_payouts_currency_fkey', 'currency = ''NGN''', 'a payout in an unknown currency')
) as c (constraint_name, assignment, title);

select tests.remember();
select tests.violates(b.sql, b.constraint_name, b.title || ' cannot be')
from tests.breaks as b;
select tests.nothing_changed('and none is');
select set_eq(
    $$ select c.conrelid::regclass::text, c.conname::text from pg_catalog.pg_constraint as c
       where c.conrelid in (
           'public.affiliates'::regclass, 'public.promo_codes'::regclass,
           'public.affiliate_stats'::regclass, 'public.affiliate_payouts'::regclass
       ) $$,
    $$ select format('public.%I', b.table_name)::regclass::text, b.constraint_name
       from tests.breaks as b $$,
    'these are all the constraints of the four tables'
);

-- Who counts as an affiliate ----------------------------------------------------------------------

create function tests.affiliates() returns text
language sql stable as $$
    select string_agg(n.name, ' ' order by n.name)
    from public.users as u inner join tests.names as n on u.id = n.id
    where u.is_affiliate
$$;
select is(tests.affiliates(), 'pat sam', 'approved ones count');
update public.affiliates set status = 'approved' where user_id = tests.id('new');
select is(tests.affiliates(), 'new pat sam', 'one who is approved counts from then on');
update public.affiliates set status = 'suspended' where user_id = tests.id('sam');
select is(tests.affiliates(), 'new pat', 'one who is suspended counts no more');
update public.affiliates set status = 'rejected' where user_id = tests.id('new');
select is(tests.affiliates(), 'pat', 'nor one who is rejected');
update public.affiliates set user_id = tests.id('amina') where user_id = tests.id('pat');
select is(tests.affiliates(), 'amina', 'one row counts for one person');
update public.affiliates set status = 'approved' where user_id = tests.id('new');
delete from public.affiliates where user_id = tests.id('new');
select is(tests.affiliates(), 'amina', 'one whose row is gone counts no more');
select tests.make_affiliate('late', 'pending');
select is(tests.affiliates(), 'amina', 'one who has applied does not count yet');

select * from finish();
rollback;
