begin;
\ir ../_helpers.psql
select plan(27);

-- rounding: at the currency's decimals, half away from zero
create temp table amounts (amount numeric, currency text, wanted text);
insert into amounts values
(0, 'ZAR', '0.00'),
(1.004, 'ZAR', '1.00'),
(1.005, 'ZAR', '1.01'),
(-1.005, 'ZAR', '-1.01'),
(1.015, 'ZAR', '1.02'),
(12.3, 'ZAR', '12.30'),
(0.4999, 'XAF', '0'),
(0.5, 'XAF', '1'),
(1.5, 'XAF', '2'),
(2.5, 'XAF', '3'),
(-2.5, 'XAF', '-3'),
(1234567.49, 'XAF', '1234567'),
(0.005, 'USD', '0.01');
select is(
    private.round_money(a.amount, a.currency)::text, a.wanted,
    format('%s %s is %s', a.amount, a.currency, a.wanted)
)
from amounts as a;
select is(
    private.round_money(1, 'GBP'), null, 'a currency that the shop does not know has no amount'
);
select is(private.round_money(null, 'XAF'), null, 'no amount is no amount');

-- splitting: largest remainder first, the parts sum to the whole
select is(
    private.split_money(100, '{1, 1, 1}', 'XAF'), '{34, 33, 33}',
    'the odd franc goes to the first of equals'
);
select is(
    private.split_money(100, '{1, 1, 1}', 'ZAR'), '{33.34, 33.33, 33.33}', 'so does the odd cent'
);
select is(
    private.split_money(10, '{1, 2, 4}', 'XAF'), '{1, 3, 6}',
    'the largest remainders are served first: 1.43, 2.86, 5.71'
);
select is(private.split_money(7, '{5}', 'XAF'), '{7}', 'one part is the whole');
select is(private.split_money(0, '{3, 4}', 'ZAR'), '{0, 0}', 'nothing is split into nothing');
select is(
    private.split_money(0.01, '{1, 1, 1}', 'ZAR'), '{0.01, 0, 0}', 'a single cent is not cut'
);
select is(
    private.split_money(9999999999.99, '{1, 1}', 'ZAR'), '{5000000000.00, 4999999999.99}',
    'the largest amount of a column is split exactly'
);

-- on 3,000 random totals and weights, the same at every run
select setseed(0.42);
create temp table splits as
select
    s.currency, s.unit, s.total, s.weights,
    private.split_money(s.total, s.weights, s.currency) as parts
from (
    select
        c.code as currency,
        10::numeric ^ -c.minor_unit as unit,
        round((random() * 10 ^ (1 + n % 7))::numeric, c.minor_unit) as total,
        array(
            select round((random() * 10 ^ (n % 5))::numeric, c.minor_unit)
                + 10::numeric ^ -c.minor_unit
            from generate_series(1, 1 + n % 13)
            where n is not null
        ) as weights
    from generate_series(1, 1000) as n
    cross join public.currencies as c
    where c.code in ('USD', 'XAF', 'ZAR')
) as s;

select results_eq(
    $$
    select
        count(*),
        count(*) filter (where (select sum(p) from unnest(s.parts) as p) = s.total),
        count(*) filter (where cardinality(s.parts) = cardinality(s.weights)),
        count(*) filter (where 0 <= all(s.parts)),
        count(*) filter (
            where not exists (select from unnest(s.parts) as p where p % s.unit <> 0)
        )
    from splits as s
    $$,
    'values (3000::bigint, 3000::bigint, 3000::bigint, 3000::bigint, 3000::bigint)',
    'parts sum to the total, one a weight, never negative, never below the currency''s unit'
);
select is_empty(
    $$
    select s.* from splits as s
    where exists (
        select
        from unnest(s.parts, s.weights) as w (part, weight)
        where abs(
            w.part - s.total * w.weight / (select sum(x) from unnest(s.weights) as x)
        ) >= s.unit
    )
    $$,
    'no part is a whole unit away from its exact share'
);
select is_empty(
    $$
    select s.* from splits as s
    where exists (
        select
        from unnest(s.parts, s.weights) as a (part, weight)
        cross join unnest(s.parts, s.weights) as b (part, weight)
        where a.weight > b.weight and a.part < b.part
    )
    $$,
    'a larger weight never gets a smaller part'
);
select is(
    (
        select count(*) from splits as s
        where s.parts <> private.split_money(s.total, s.weights, s.currency)
    ),
    0::bigint, 'the same split is the same again'
);

-- frontends may round as the shop does, nobody else's business may be split by them
select is(
    array(
        select r || ' ' || f
        from unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service']) as r
        cross join unnest(array[
            'private.round_money(numeric, text)', 'private.split_money(numeric, numeric[], text)'
        ]) as f
        where has_function_privilege(r, f, 'execute')
        order by 1
    ),
    array[
        'authenticated private.round_money(numeric, text)',
        'service_role private.round_money(numeric, text)'
    ],
    'round_money is open to whoever writes prices, split_money to nobody'
);

select * from finish();
rollback;
