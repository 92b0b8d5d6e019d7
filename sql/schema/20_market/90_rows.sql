insert into public.currencies (code, name, name_fr, minor_unit, cash_step)
values
('CNY', 'Chinese yuan', 'Yuan chinois', 2, 0.01),
('EUR', 'Euro', 'Euro', 2, 0.01),
('USD', 'US dollar', 'Dollar américain', 2, 0.01),
('XAF', 'Central African CFA franc', 'Franc CFA (CEMAC)', 0, 5),
('ZAR', 'South African rand', 'Rand sud-africain', 2, 0.10)
on conflict (code) do update
set name = excluded.name,
    name_fr = excluded.name_fr,
    minor_unit = excluded.minor_unit,
    cash_step = excluded.cash_step;

insert into public.countries (code, name, name_fr, currency, languages, phone_prefix)
values
('CM', 'Cameroon', 'Cameroun', 'XAF', array['fr', 'en'], '+237'),
('ZA', 'South Africa', 'Afrique du Sud', 'ZAR', array['en'], '+27')
on conflict (code) do update
set name = excluded.name,
    name_fr = excluded.name_fr,
    currency = excluded.currency,
    languages = excluded.languages,
    phone_prefix = excluded.phone_prefix;

insert into public.payment_methods (code, name, name_fr)
values
('mtn_momo', 'MTN Mobile Money', 'MTN Mobile Money'),
('orange_money', 'Orange Money', 'Orange Money'),
('card', 'Bank card', 'Carte bancaire'),
('eft', 'Instant bank transfer (EFT)', 'Virement bancaire instantané (EFT)'),
('kora_checkout', 'Kora checkout', 'Paiement Kora')
on conflict (code) do update
set name = excluded.name, name_fr = excluded.name_fr;

insert into private.payment_gateways (
    code, name, refund_way, payout_gateway, payout_institution, takes_twice, time_zone,
    statement_columns
)
values
('kora', 'Kora', 'gateway', null, null, false, 'UTC', '{}'),
('mtn', 'MTN MoMo', 'gateway', 'mtn', 'mtn', false, 'Africa/Douala', '{}'),
('orange', 'Orange Money', 'payout', 'kora', 'orange', false, 'Africa/Douala', '{}'),
('paygate', 'PayGate', 'manual', null, null, false, 'Africa/Johannesburg', '{}'),
(
    'payfast', 'PayFast', 'gateway', null, null, true, 'Africa/Johannesburg',
    '{"reference": "M Payment ID", "transaction_id": "PF Payment ID", "gross": "Gross",'
    ' "fee": "Fee", "net": "Net", "currency": "Currency", "occurred_at": "Date", "kind": "Type"}'
)
on conflict (code) do update
set name = excluded.name,
    refund_way = excluded.refund_way,
    payout_gateway = excluded.payout_gateway,
    payout_institution = excluded.payout_institution,
    takes_twice = excluded.takes_twice,
    time_zone = excluded.time_zone,
    statement_columns = excluded.statement_columns;

insert into public.payment_routes (country, method, gateway, priority, needs_phone)
values
('ZA', 'card', 'paygate', 10, false),
('ZA', 'card', 'payfast', 20, false),
('ZA', 'eft', 'paygate', 30, false),
('ZA', 'eft', 'payfast', 40, false),
('ZA', 'kora_checkout', 'kora', 50, false),
('ZA', 'eft', 'kora', 60, false),
('CM', 'orange_money', 'orange', 10, false),
('CM', 'mtn_momo', 'mtn', 20, true),
('CM', 'kora_checkout', 'kora', 30, false),
('CM', 'orange_money', 'kora', 40, true),
('CM', 'mtn_momo', 'kora', 50, true)
on conflict (country, method, gateway) do update
set priority = excluded.priority, needs_phone = excluded.needs_phone;

insert into public.shipping_rates (id, country, currency, amount, free_from)
values
('5a000000-0000-4000-8000-000000000001', 'ZA', 'ZAR', 99.00, 1500.00),
('5a000000-0000-4000-8000-000000000002', 'CM', 'XAF', 3500, 60000)
on conflict (id) do update
set amount = excluded.amount, free_from = excluded.free_from;

insert into public.tax_rates (id, country, name, name_fr, rate)
values
('7a000000-0000-4000-8000-000000000001', 'ZA', 'VAT', 'TVA', 0.1500),
('7a000000-0000-4000-8000-000000000002', 'CM', 'VAT', 'TVA', 0.1925)
on conflict (id) do update
set name = excluded.name, name_fr = excluded.name_fr, rate = excluded.rate;

insert into private.currency_pegs (currency, anchor, rate)
values
('XAF', 'EUR', 655.957)
on conflict (currency) do update
set anchor = excluded.anchor, rate = excluded.rate;
