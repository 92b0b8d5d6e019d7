-- Why a piece costs what it does: every rule that applied or lost; what tells the cost, to admins.
begin;
\ir ../_helpers.psql
\ir _prices.psql
select plan(30);

-- given goods with breaks, and people
select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('ada');
select tests.make_category('fashion');
select tests.make_wholesale_product(
    'box', 1000, 471.90, 16400, 10, bulk_discount_percent => 12, bulk_min_quantity => 100,
    category => 'fashion'
);
insert into public.price_tiers (id, retailer_product_id, quantities, discount_percent)
values
('aa000000-0000-4000-8000-000000000001', tests.id('box'), '[20,200)', 7),
('aa000000-0000-4000-8000-000000000002', tests.id('box'), '[200,)', 90);
update public.product_prices set source = 'rule' where listing_id = tests.id('box');
select tests.costs('box', 72, 'CNY');
update public.products_retailer set weight_grams = 500 where id = tests.id('box');
insert into private.price_rules (id, component, category_id, percent)
values ('bb000000-0000-4000-8000-000000000001', 'duty', tests.id('fashion'), 20);
select tests.set_prices('box');

create function tests.reasons(explanation jsonb) returns setof text
language sql immutable as $$
    select concat_ws(
        ' ', r ->> 'rule', r ->> 'min_quantity', r ->> 'applied', r ->> 'reason'
    )
    from jsonb_array_elements(reasons.explanation -> 'rules') as r
$$;

-- a guest, in English
select tests.act_as_anon();
select results_eq(
    $$select tests.reasons(public.explain_price(tests.id('box'), 'wholesale', 10, 'CM'))$$,
    $$
    values
    ('listed_price true listed_by_rule'), ('price_tier 20 false quantity_outside'),
    ('price_tier 200 false quantity_outside'), ('bulk_discount 100 false quantity_outside')
    $$,
    'at the least quantity the listed price holds'
);
select results_eq(
    $$select tests.reasons(public.explain_price(tests.id('box'), 'wholesale', 20, 'CM'))$$,
    $$
    values
    ('listed_price true listed_by_rule'), ('price_tier 20 true largest_discount'),
    ('price_tier 200 false quantity_outside'), ('bulk_discount 100 false quantity_outside')
    $$,
    'a break applies'
);
select results_eq(
    $$select tests.reasons(public.explain_price(tests.id('box'), 'wholesale', 100, 'CM'))$$,
    $$
    values
    ('listed_price true listed_by_rule'), ('price_tier 20 false larger_discount_won'),
    ('price_tier 200 false quantity_outside'), ('bulk_discount 100 true largest_discount')
    $$,
    'the larger discount wins, the other lost'
);
select results_eq(
    $$select tests.reasons(public.explain_price(tests.id('box'), 'wholesale', 200, 'CM'))$$,
    $$
    values
    ('listed_price true listed_by_rule'), ('price_tier 20 false quantity_outside'),
    ('price_tier 200 true largest_discount'), ('bulk_discount 100 false larger_discount_won'),
    ('floor true discount_limited')
    $$,
    'and a floor ends a discount'
);
select is(
    public.explain_price(tests.id('box'), 'wholesale', 20, 'CM') - 'rules',
    jsonb_build_object(
        'product_id', tests.id('box'), 'channel', 'wholesale', 'quantity', 20, 'country', 'CM',
        'currency', 'XAF', 'list_price', 16400.00, 'unit_price', 15252.00, 'subtotal', 305040.00,
        'problem', null
    ),
    'a guest sees prices, and nothing that tells the cost'
);
select is(
    public.explain_price(tests.id('box'), 'wholesale', 20, 'CM') #> '{rules,1}',
    '{
        "id": "aa000000-0000-4000-8000-000000000001", "rule": "price_tier", "applied": true,
        "reason": "largest_discount", "text": "The largest discount for this quantity.",
        "min_quantity": 20, "max_quantity": 199, "discount_percent": 7.00
    }',
    'a rule says what it is and why'
);
select tests.act_as('amina');
select is(
    public.explain_price(tests.id('box'), 'wholesale', 20, 'CM') #>> '{rules,1,text}',
    'La plus forte remise pour cette quantité.', 'in French for whoever reads French'
);
select is(
    public.explain_price(tests.id('box'), 'wholesale', 20) ->> 'country', 'CM',
    'of the caller''s own country if none is named'
);
select is(
    public.explain_price(tests.id('box'), 'wholesale', 11, 'CM')
    ?| '{calculation, floor}'::text [],
    false, 'a shopper sees no calculation'
);

-- what cannot be ordered so is said with the code of the order's refusal
select is(
    public.explain_price(tests.id('box'), 'wholesale', 5, 'CM') ->> 'problem',
    'quantity_below_minimum', 'too few'
);
select is(
    public.explain_price(tests.id('box'), 'wholesale', 2000, 'CM') ->> 'problem',
    'stock_insufficient', 'more than there are'
);
select tests.refuses(
    $$select public.explain_price(tests.id('box'), 'wholesale', 0, 'CM')$$,
    'PT400 quantity_invalid', 'none', '0'
);
select tests.refuses(
    $$select public.explain_price(tests.id('box'), 'wholesale', null, 'CM')$$,
    'PT400 quantity_invalid', 'nothing'
);
select tests.refuses(
    $$select public.explain_price(tests.id('box'), 'retail', 1, 'CM')$$,
    'PT404 product_not_found', 'the other channel'
);
select tests.refuses(
    $$select public.explain_price(tests.id('box'), 'wholesale', 10, 'XX')$$,
    'PT400 country_unknown', 'no country', 'XX'
);

-- an admin sees how it comes about
select tests.act_as('ada');
select is(
    (public.explain_price(tests.id('box'), 'wholesale', 10, 'CM') ->> 'floor')::numeric,
    11976.00, 'an admin sees the floor'
);
select is(
    public.explain_price(tests.id('box'), 'wholesale', 10, 'CM') -> 'calculation' -> v.step,
    v.wanted, 'and the step ' || v.step
)
from (
    values
    ('cost', '72'::jsonb), ('landed', '8694'), ('amount', '16400'), ('problem', 'null')
) as v (step, wanted);
select set_eq(
    $$
    select concat_ws(' ', r ->> 'rule', r ->> 'percent', r ->> 'min_cost', r ->> 'reason')
    from jsonb_array_elements(
        public.explain_price(tests.id('box'), 'wholesale', 10, 'CM')
        #> '{calculation,rules}'
    ) as r
    $$,
    $$
    values
    ('duty 20.0000 0 most_specific'), ('duty 20.0000 0 less_specific'),
    ('exchange_buffer 5.0000 0 most_specific'), ('floor 10.0000 0 most_specific'),
    ('freight 0.0000 0 most_specific'), ('freight 0.0000 0 other_channel'),
    ('margin 50.0000 0 most_specific'), ('margin 30.0000 50 other_cost'),
    ('payment_fee 4.0000 0 most_specific')
    $$,
    'with every rule that won or lost'
);
select is(
    (
        select bool_and(r ? 'text' and r ->> 'text' is not null)
        from jsonb_array_elements(
            public.explain_price(tests.id('box'), 'wholesale', 10, 'CM')
            #> '{calculation,rules}'
        ) as r
    ),
    true, 'each in a sentence'
);
select tests.act_as_owner();
update public.product_prices set source = 'manual', amount = 20000
where listing_id = tests.id('box') and country = 'CM';
select tests.act_as('ada');
select results_eq(
    $$
    select concat_ws(' ', r ->> 'rule', r ->> 'amount', r ->> 'applied', r ->> 'reason')
    from jsonb_array_elements(
        public.explain_price(tests.id('box'), 'wholesale', 10, 'CM') -> 'rules'
    ) as r
    where r ->> 'rule' in ('listed_price', 'rule_price')
    $$,
    $$
    values
    ('listed_price 20000.00 true listed_by_manual'), ('rule_price 16400.00 false listed_by_manual')
    $$,
    'a price by hand wins over the rule''s'
);
select tests.act_as_owner();
select tests.costs('box', 720, 'CNY');
select tests.set_prices('box');
select tests.act_as('ada');
select results_eq(
    $$
    select concat_ws(' ', r ->> 'rule', r ->> 'applied', r ->> 'reason')
    from jsonb_array_elements(
        public.explain_price(tests.id('box'), 'wholesale', 10, 'CM') -> 'rules'
    ) as r
    $$,
    $$values ('listed_price false held_under_floor'), ('rule_price false listed_by_manual')$$,
    'and a held one is said to be held'
);

-- goods in variants: which one, at its own price and floor
select tests.act_as_owner();
select tests.make_product('shoe', price_za => 697.90, price_cm => 24200);
select tests.costs('shoe', 10);
update public.product_prices set source = 'rule' where listing_id = tests.id('shoe');
select tests.set_prices('shoe');
insert into public.product_variants (id, product_id, external_id, price_ratio)
values
(tests.name_it('plain', gen_random_uuid()), tests.id('shoe'), 'plain', 1),
(tests.name_it('gold', gen_random_uuid()), tests.id('shoe'), 'gold', 2);
select tests.act_as_anon();
select results_eq(
    $$select tests.reasons(public.explain_price(tests.id('shoe'), 'retail', 1, 'ZA'))$$,
    $$values ('listed_price true listed_by_rule'), ('variant false variant_open')$$,
    'without a variant the listed price is said to be open'
);
select results_eq(
    $$
    select tests.reasons(
        public.explain_price(tests.id('shoe'), 'retail', 1, 'ZA', tests.id('plain'))
    )
    $$,
    $$values ('listed_price true listed_by_rule'), ('variant false cheapest_variant')$$,
    'the cheapest variant has the listed price'
);
select results_eq(
    $$
    select tests.reasons(
        public.explain_price(tests.id('shoe'), 'retail', 1, 'ZA', tests.id('gold'))
    )
    $$,
    $$values ('listed_price true listed_by_rule'), ('variant true other_variant')$$,
    'a dearer one its own'
);
select is(
    public.explain_price(tests.id('shoe'), 'retail', 2, 'ZA', tests.id('gold'))
    - '{rules, country, currency, channel, product_id, quantity}'::text [],
    jsonb_build_object(
        'list_price', 1395.90, 'unit_price', 1395.90, 'subtotal', 2791.80, 'problem', null,
        'variant_id', tests.id('gold')
    ),
    'and it is named'
);
select is(
    (
        select array_agg(b.unit_price || ' ' || b.list_price)
        from public.price_breaks(tests.id('shoe'), 'retail', 'ZA', tests.id('gold')) as b
    ),
    '{"1395.90 1395.90"}', 'as the breaks say it'
);
select tests.act_as('ada');
select is(
    public.explain_price(tests.id('shoe'), 'retail', 1, 'ZA', tests.id('gold')) -> 'floor',
    '1022.52', 'its floor is its share of the listing''s'
);

select * from finish();
rollback;
