-- Rates of a source: the peg, the guards, what prices follow, and what a person decides.
begin;
\ir ../_helpers.psql
select plan(60);

select tests.make_admin('ada');
select tests.make_user('amina');
delete from public.exchange_rates;
delete from private.pricing_rates where currency <> 'USD';
delete from private.outbox;

create function tests.records(
    rates jsonb, source text default 'test', age interval default '0'
)
returns text
language plpgsql as $$
declare
    v_answer jsonb;
begin
    perform tests.act_as_service();
    v_answer := service.record_exchange_rates(
        rates => records.rates, source => records.source, observed_at => now() - records.age
    );
    perform tests.act_as_owner();
    return concat_ws(
        ' ', v_answer ->> 'recorded', v_answer ->> 'refused', v_answer ->> 'adopted'
    );
end
$$;
create function tests.newest(currency text) returns text
language sql stable as $$
    select concat_ws(' ', r.rate, r.source)
    from public.exchange_rates as r
    where r.quote_currency = newest.currency
    order by r.as_of desc limit 1
$$;

-- the peg, as worked out in the sources' documents
select is(
    tests.records(
        '{"EUR": "0.87973960", "ZAR": "17.1197", "CNY": "7.0467", "XAF": "580"}', 'first', '4 days'
    ),
    '[] ["CNY", "EUR", "XAF", "ZAR"] []', 'four days old rates are not taken'
);
select is(
    tests.records(
        '{"EUR": "0.87973960", "ZAR": 17.1197, "CNY": "7.0467", "XAF": "580"}', 'first', '2 days'
    ),
    '["CNY", "EUR", "XAF", "ZAR"] [] ["CNY", "EUR", "XAF", "ZAR"]', 'younger ones are'
);
select is(
    tests.newest('XAF'), '577.07134880 first',
    'francs follow the euro by their peg, whatever a source says'
);
select is(tests.newest('ZAR'), '17.11970000 first', 'a number is as good as a text');
select is(
    (
        select round(a.per_dollar / b.per_dollar, 3)
        from private.pricing_rates as a, private.pricing_rates as b
        where a.currency = 'XAF' and b.currency = 'CNY'
    ),
    81.892, 'a yuan is worth what both sources say'
);
select is(
    tests.records('{"EUR": "0.87973960", "ZAR": 0, "CNY": "0.000000001"}', 'first', '47 hours'),
    '["EUR", "XAF"] [] []', 'what is no rate is left out, and the others of the sheet are taken'
);
select is(tests.newest('ZAR'), '17.11970000 first', 'so the last good one stays');
select is(
    tests.records('{"XAF": "600", "GBP": "0.8", "USD": 1}', 'other'),
    '[] [] []', 'pegged and unknown currencies are not asked for'
);
select is(
    (select count(*) from private.outbox as o where o.job = 'reprice_products'), 1::bigint,
    'first rates have all prices made'
);

-- what prices follow
delete from private.outbox;
select is(
    tests.records('{"ZAR": "17.25"}', 'near', '40 hours'), '["ZAR"] [] []',
    'less than a percent away is known, but prices stay'
);
select is(
    (select p.per_dollar from private.pricing_rates as p where p.currency = 'ZAR'),
    17.11970000, 'at the rate they were made with'
);
select is_empty('select o.id from private.outbox as o', 'and nothing is made anew');
select is(
    tests.records('{"ZAR": "17.30"}', 'far', '12 hours'), '["ZAR"] [] ["ZAR"]',
    'more than a percent away from what prices were made with, they follow'
);
select is(
    (
        select concat_ws(' ', p.per_dollar, p.source)
        from private.pricing_rates as p where p.currency = 'ZAR'
    ),
    '17.30000000 far', 'by that rate'
);
select is(
    (select count(*) from private.outbox as o where o.job = 'reprice_products'), 1::bigint,
    'all anew'
);

-- late or told again
select is(
    tests.records('{"ZAR": "17.31"}', 'late', '13 hours'), '[] [] []',
    'an older rate than the last one says nothing'
);
select is(
    tests.records('{"ZAR": "17.30"}', 'far', '12 hours'), '[] [] []', 'nor does the same again'
);

-- a jump: 5 percent a day
select is(
    tests.records('{"ZAR": "18.1651"}', 'leap', '6 hours'), '[] ["ZAR"] []',
    'more than 5 percent up in a day is kept out'
);
select is(
    tests.records('{"ZAR": "16.4349"}', 'fall', '6 hours'), '[] ["ZAR"] []',
    'as is more than 5 percent down'
);
select is(tests.newest('ZAR'), '17.30000000 far', 'the last good rate stays');
select results_eq(
    $$
    select f.quote_currency, f.rate, f.last_rate, f.reason, f.source
    from private.refused_exchange_rates as f where f.reason = 'jump' order by f.rate
    $$,
    $$
    values
    ('ZAR', 16.4349, 17.30, 'jump', 'fall'), ('ZAR', 18.1651, 17.30, 'jump', 'leap')
    $$,
    'what was kept out is kept'
);
select is(
    (
        select e.detail from private.payment_exceptions as e
        where e.kind = 'exchange_rate_refused' and e.currency = 'ZAR'
    ),
    'USD ZAR too_old 17.11970000 first', 'a person is told once a day and currency'
);
select is(
    (
        select count(*) from public.notifications as n
        where n.user_id = tests.id('ada') and n.data ->> 'kind' = 'exchange_rate_refused'
    ),
    4::bigint, 'by a message each'
);
select is(
    tests.records('{"ZAR": "18.165"}', 'edge', '6 hours'), '["ZAR"] [] ["ZAR"]',
    'exactly 5 percent is taken'
);
select is(
    tests.records('{"ZAR": "18.5"}', 'creep', '5 hours'), '[] ["ZAR"] []',
    '5 percent a day is not 5 percent each time that somebody asks'
);
update public.exchange_rates set as_of = as_of - interval '50 hours' where source = 'edge';
update public.exchange_rates set as_of = as_of - interval '50 hours' where source <> 'edge';
select is(
    tests.records('{"ZAR": "20.8"}', 'silence'), '["ZAR"] [] ["ZAR"]',
    'after three days of silence three days'' worth'
);
select is(
    tests.records('{"ZAR": "21"}', 'clock', '-13 hours'), '[] ["ZAR"] []',
    'a rate of tomorrow is kept out, one of today''s noon is not'
);
update public.exchange_rates set as_of = as_of - interval '2 hours' where source = 'silence';
select is(
    tests.records('{"ZAR": "20.9"}', 'noon', '-11 hours'), '["ZAR"] [] []',
    'one of a few hours from now'
);
select is(
    (select r.as_of from public.exchange_rates as r where r.source = 'noon'), now(),
    'counts from now, and outranks nothing that comes until then'
);
update public.exchange_rates set as_of = as_of - interval '1 hour' where source = 'noon';
delete from public.exchange_rates where quote_currency = 'CNY';
select is(
    tests.records('{"CNY": "NaN", "ZAR": "20.91"}', 'odd', '30 minutes')
    || tests.records('{"CNY": "99999999999", "ZAR": "20.92"}', 'huge', '20 minutes'),
    '["ZAR"] [] []["ZAR"] [] []', 'what is no number, or one beyond all, stops no sheet'
);

-- a person decides
select tests.records('{"EUR": "1.2", "ZAR": "26"}', 'crash', '-1 minute');
select is(tests.newest('EUR'), '0.87973960 first', 'a euro that leaps is kept out');
select is(tests.newest('XAF'), '577.07134880 first', 'and with it what is tied to it');
select tests.name_it('crash', f.id) from private.refused_exchange_rates as f
where f.source = 'crash' and f.quote_currency = 'EUR';
select tests.act_as('ada');
select is(
    (
        select count(*) from jsonb_array_elements(public.refused_exchange_rates()) as r
        where r ->> 'source' = 'crash' and r ->> 'accepted_at' is null
    ),
    3::bigint, 'an admin sees what was kept out'
);
select is(
    public.accept_exchange_rate(tests.id('crash')),
    '{"accepted": ["EUR", "XAF"], "adopted": ["EUR", "XAF"]}',
    'accepting the euro accepts what is tied to it, and nothing else'
);
select tests.refuses(
    $$select public.accept_exchange_rate(tests.id('crash'))$$,
    'PT409 exchange_rate_superseded', 'once'
);
select tests.refuses(
    $$select public.accept_exchange_rate('00000000-0000-4000-8000-000000000000')$$,
    'PT404 exchange_rate_not_found', 'and only what was refused',
    '00000000-0000-4000-8000-000000000000'
);
select tests.act_as_owner();
select is(tests.newest('XAF'), '787.14840000 crash', 'then they count');
select is(
    (
        select f.accepted_by from private.refused_exchange_rates as f
        where f.id = tests.id('crash')
    ),
    tests.id('ada'), 'in the name of who decided'
);
select tests.name_it('leap', f.id) from private.refused_exchange_rates as f
where f.source = 'leap';
select tests.act_as('ada');
select tests.refuses(
    $$select public.accept_exchange_rate(tests.id('leap'))$$,
    'PT409 exchange_rate_superseded', 'what a newer rate has overtaken cannot be accepted'
);
select tests.act_as_owner();
select is(
    (
        select f.accepted_at from private.refused_exchange_rates as f
        where f.id = tests.id('leap')
    ),
    null, 'and is not'
);
select tests.name_it('clock', f.id) from private.refused_exchange_rates as f
where f.source = 'clock';
select tests.act_as('ada');
select is(
    public.accept_exchange_rate(tests.id('clock')), '{"accepted": ["ZAR"], "adopted": []}',
    'a rate of tomorrow can be accepted'
);
select tests.act_as_owner();
select is(tests.newest('ZAR'), '21.00000000 clock', 'and counts');
select is(
    (
        select r.as_of from public.exchange_rates as r
        where r.quote_currency = 'ZAR' and r.source = 'clock'
    ),
    now(), 'from now on'
);
update public.exchange_rates set as_of = as_of - interval '1 minute' where source = 'clock';
select is(
    tests.records('{"ZAR": "20.9"}', 'next'), '["ZAR"] [] []',
    'so that the next rate is taken'
);
select is(tests.newest('ZAR'), '20.90000000 next', 'and not outranked until tomorrow');

-- what is no number is no rate
select tests.violates(
    $$update public.exchange_rates set rate = 'NaN' where source = 'clock'$$,
    'exchange_rates_rate_positive', 'no rate is kept that is no number'
);
select tests.violates(
    $$update private.pricing_rates set per_dollar = 'NaN' where currency = 'ZAR'$$,
    'pricing_rates_per_dollar_positive', 'nor do prices follow one'
);

-- silence for three days
create function tests.silent() returns jsonb
language plpgsql as $$
declare
    v_answer jsonb;
begin
    perform tests.act_as_service();
    v_answer := service.check_exchange_rates();
    perform tests.act_as_owner();
    return v_answer;
end
$$;
select is(tests.silent(), '{"old": ["CNY"]}', 'a currency that nobody quotes is old');
delete from public.exchange_rates where quote_currency = 'ZAR' and source <> 'silence';
update public.exchange_rates set as_of = now() - interval '71 hours' where source = 'silence';
select is(tests.silent(), '{"old": ["CNY"]}', 'three days are not yet too long');
update public.exchange_rates set as_of = as_of - interval '61 minutes' where source = 'silence';
select is(tests.silent(), '{"old": ["CNY", "ZAR"]}', 'longer than that is');
select set_eq(
    $$
    select e.currency from private.payment_exceptions as e where e.kind = 'exchange_rate_old'
    $$,
    $$values ('CNY'), ('ZAR')$$, 'a person is told'
);
select is(
    (select p.per_dollar from private.pricing_rates as p where p.currency = 'ZAR'),
    20.80000000, 'and prices keep the last good one'
);
select tests.act_as_service();
select tests.closed('public.exchange_rates');
select tests.closed('private.refused_exchange_rates');

select * from finish();
rollback;
