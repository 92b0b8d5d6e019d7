begin;
\ir ../_helpers.psql
select plan(44);

-- two countries, their currencies, and the gateways in the order that the shop was ordered with
select results_eq(
    'select c.code, c.minor_unit::integer, c.cash_step from public.currencies as c order by c.code',
    $$
    values
    ('CNY', 2, 0.01), ('EUR', 2, 0.01), ('USD', 2, 0.01), ('XAF', 0, 5.00), ('ZAR', 2, 0.10)
    $$,
    'amounts in francs have no decimals, the others two'
);
select results_eq(
    $$
    select c.code, c.name, c.name_fr, c.currency, c.languages, c.phone_prefix
    from public.countries as c order by c.code
    $$,
    $$
    values
    ('CM', 'Cameroon', 'Cameroun', 'XAF', array['fr', 'en'], '+237'),
    ('ZA', 'South Africa', 'Afrique du Sud', 'ZAR', array['en'], '+27')
    $$,
    'the shop sells to Cameroon and South Africa'
);
select results_eq(
    $$
    select g.country, array_agg(g.gateway order by g.priority)
    from (
        select r.country, r.gateway, min(r.priority) as priority
        from public.payment_routes as r group by r.country, r.gateway
    ) as g
    group by g.country order by g.country
    $$,
    $$
    values
    ('CM', array['orange', 'mtn', 'kora']),
    ('ZA', array['paygate', 'payfast', 'kora'])
    $$,
    'each country tries its gateways in order'
);
select results_eq(
    $$
    select r.country, r.method, r.gateway, r.needs_phone, r.is_enabled
    from public.payment_routes as r order by r.country, r.priority
    $$,
    $$
    values
    ('CM', 'orange_money', 'orange', false, true),
    ('CM', 'mtn_momo', 'mtn', true, true),
    ('CM', 'kora_checkout', 'kora', false, true),
    ('CM', 'orange_money', 'kora', true, true),
    ('CM', 'mtn_momo', 'kora', true, true),
    ('ZA', 'card', 'paygate', false, true),
    ('ZA', 'card', 'payfast', false, true),
    ('ZA', 'eft', 'paygate', false, true),
    ('ZA', 'eft', 'payfast', false, true),
    ('ZA', 'kora_checkout', 'kora', false, true),
    ('ZA', 'eft', 'kora', false, true)
    $$,
    'each method has its routes, by priority'
);
select results_eq(
    $$
    select g.code, g.name, g.refund_way, g.payout_gateway, g.payout_institution
    from private.payment_gateways as g order by g.code
    $$,
    $$
    values
    ('kora', 'Kora', 'gateway', null, null),
    ('mtn', 'MTN MoMo', 'gateway', 'mtn', 'mtn'),
    ('orange', 'Orange Money', 'payout', 'kora', 'orange'),
    ('payfast', 'PayFast', 'gateway', null, null),
    ('paygate', 'PayGate', 'manual', null, null)
    $$,
    'each gateway has its way to give money back, and the rail that pays out for it'
);
select results_eq(
    $$
    select g.code, c.key, c.value
    from private.payment_gateways as g, jsonb_each_text(g.statement_columns) as c
    order by g.code, c.key
    $$,
    $$
    values
    ('payfast', 'currency', 'Currency'), ('payfast', 'fee', 'Fee'), ('payfast', 'gross', 'Gross'),
    ('payfast', 'kind', 'Type'), ('payfast', 'net', 'Net'), ('payfast', 'occurred_at', 'Date'),
    ('payfast', 'reference', 'M Payment ID'), ('payfast', 'transaction_id', 'PF Payment ID')
    $$,
    'and its own names for the columns of a statement'
);
select set_eq(
    'select m.code from public.payment_methods as m',
    array['mtn_momo', 'orange_money', 'card', 'eft', 'kora_checkout'],
    'there are five ways to pay'
);
select results_eq(
    $$
    select r.country, r.currency, r.amount, r.free_from, r.valid_until
    from public.shipping_rates as r order by r.country
    $$,
    $$
    values
    ('CM', 'XAF', 3500.00, 60000.00, null::date), ('ZA', 'ZAR', 99.00, 1500.00, null::date)
    $$,
    'delivery has a price in each country, and is free from a sum'
);
select results_eq(
    'select r.country, r.rate, r.valid_until from public.tax_rates as r order by r.country',
    $$values ('CM', 0.1925, null::date), ('ZA', 0.1500, null::date)$$,
    'value-added tax is 19.25 and 15 percent'
);
select is_empty(
    $$
    select r.id from public.shipping_rates as r
    inner join public.countries as c on r.country = c.code
    where r.currency <> c.currency
    $$,
    'delivery is charged in the country''s currency'
);
select is_empty(
    $$
    select c.code from public.countries as c
    where not exists (
        select from public.shipping_rates as r
        where r.country = c.code and daterange(r.valid_from, r.valid_until) @> current_date
    )
    or not exists (
        select from public.tax_rates as r
        where r.country = c.code and daterange(r.valid_from, r.valid_until) @> current_date
    )
    $$,
    'every country has rates today'
);

-- one rate a day: overlaps are refused, a rate that follows another is not
select tests.remember();
select tests.violates(
    $$
    insert into public.shipping_rates (country, currency, amount, valid_from)
    values ('CM', 'XAF', 1, '2026-06-01')
    $$,
    'shipping_rates_no_overlap', 'a second charge for the same days is refused'
);
select tests.violates(
    $$
    insert into public.tax_rates (country, name, name_fr, rate, valid_from, valid_until)
    values ('ZA', 'VAT', 'TVA', 0.16, '2025-01-01', '2026-01-02')
    $$,
    'tax_rates_no_overlap', 'a second tax for one day is refused'
);
select tests.nothing_changed('no overlap was stored');
select lives_ok(
    $$
    insert into public.tax_rates (country, name, name_fr, rate, valid_from, valid_until)
    values ('ZA', 'VAT', 'TVA', 0.14, '2025-01-01', '2026-01-01')
    $$,
    'a tax that ends on the day the next begins is taken'
);
update public.shipping_rates set valid_until = '2027-01-01' where country = 'CM';
select lives_ok(
    $$
    insert into public.shipping_rates (country, currency, amount, valid_from)
    values ('CM', 'XAF', 4000, '2027-01-01')
    $$,
    'a charge that follows another is taken'
);
select throws_ok(
    $$update public.shipping_rates set valid_until = '2025-01-01' where country = 'ZA'$$,
    '22000', null, 'no rate ends before it begins'
);

-- what a row may hold
create temp table broken (sql text, rule text);
insert into broken values
($$update public.currencies set code = 'Rand' where code = 'ZAR'$$, 'currencies_code_is_iso_4217'),
($$update public.currencies set minor_unit = 3 where code = 'ZAR'$$,
    'currencies_minor_unit_is_known'),
($$update public.currencies set cash_step = 0 where code = 'ZAR'$$,
    'currencies_cash_step_positive'),
($$update public.countries set code = 'za' where code = 'ZA'$$, 'countries_code_is_iso_3166'),
($$update public.countries set languages = '{de}' where code = 'ZA'$$,
    'countries_languages_are_known'),
($$update public.countries set languages = '{}' where code = 'ZA'$$,
    'countries_languages_are_known'),
($$update public.countries set phone_prefix = '27' where code = 'ZA'$$,
    'countries_phone_prefix_is_e164'),
($$update public.countries set currency = 'GBP' where code = 'ZA'$$, 'countries_currency_fkey'),
($$insert into public.exchange_rates values ('USD', 'ZAR', 0, now(), 'test')$$,
    'exchange_rates_rate_positive'),
($$insert into public.exchange_rates values ('USD', 'USD', 1, now(), 'test')$$,
    'exchange_rates_pair_differs'),
($$insert into public.payment_methods values ('Bank Card', 'a', 'b')$$,
    'payment_methods_code_is_snake_case'),
($$insert into public.payment_routes values ('ZA', 'card', 'Kora!', 99)$$,
    'payment_routes_gateway_fkey'),
($$update private.payment_gateways set code = 'Kora!' where code = 'payfast'$$,
    'payment_gateways_code_is_snake_case'),
($$insert into private.payment_gateways values ('kora', 'Kora', 'gateway')$$,
    'payment_gateways_pkey'),
($$update private.payment_gateways set refund_way = 'cash' where code = 'kora'$$,
    'payment_gateways_refund_way_is_known'),
($$update private.payment_gateways set refund_way = 'payout' where code = 'paygate'$$,
    'payment_gateways_refund_way_is_possible'),
($$update private.payment_gateways set payout_gateway = 'kora' where code = 'paygate'$$,
    'payment_gateways_payout_is_whole'),
($$update private.payment_gateways set payout_gateway = 'cash' where code = 'orange'$$,
    'payment_gateways_payout_gateway_fkey'),
($$update private.payment_gateways set statement_columns = '[]' where code = 'kora'$$,
    'payment_gateways_statement_columns_are_object'),
($$insert into public.payment_routes values ('ZA', 'card', 'kora', 10)$$,
    'payment_routes_priority_key'),
($$insert into public.payment_routes values ('ZA', 'card', 'paygate', 99)$$,
    'payment_routes_pkey'),
($$insert into public.payment_routes values ('ZA', 'cash', 'paygate', 99)$$,
    'payment_routes_method_fkey'),
($$update public.shipping_rates set amount = -1 where country = 'ZA'$$,
    'shipping_rates_amount_not_negative'),
($$update public.shipping_rates set free_from = 0 where country = 'ZA'$$,
    'shipping_rates_free_from_positive'),
($$update public.tax_rates set rate = 1 where country = 'CM'$$, 'tax_rates_rate_is_share'),
($$update public.tax_rates set rate = -0.01 where country = 'CM'$$, 'tax_rates_rate_is_share');
select tests.violates(b.sql, b.rule, b.rule || ' holds: ' || b.sql) from broken as b;

select tests.violates(
    $$delete from public.currencies where code = 'XAF'$$,
    'countries_currency_fkey', 'a currency in use cannot be taken away'
);

select * from finish();
rollback;
