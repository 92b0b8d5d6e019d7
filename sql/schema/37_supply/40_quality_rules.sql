-- What is good enough for the shop. Rules are rows: a fact of the goods and the range it has to be
-- in. A fact that is not known breaks no rule.

create type private.supplier_facts as (
    has_banned_word boolean,
    rating numeric,
    review_count integer,
    order_count integer,
    seller_rating numeric,
    image_count integer,
    stock integer,
    ship_to_count integer,
    price numeric,
    price_to_median numeric
);

comment on type private.supplier_facts is
'What the quality rules look at; null is not known. price_to_median: price by the median price of '
'the supplier''s category in this run.';

create table private.quality_rules (
    rule text primary key,
    position smallint not null,
    channel public.product_channel,
    fact text not null,
    minimum numeric,
    maximum numeric,
    evidence_fact text,
    evidence_minimum numeric,
    is_enabled boolean not null default true,
    reason_en text not null,
    reason_fr text not null,
    updated_at timestamptz not null default now(),
    constraint quality_rules_position_key unique (position),
    constraint quality_rules_rule_is_snake_case check (rule ~ '^[a-z][a-z_]{2,40}$'),
    constraint quality_rules_fact_is_known
    check (
        fact in (
            'rating', 'review_count', 'order_count', 'seller_rating', 'image_count', 'stock',
            'ship_to_count', 'price', 'price_to_median', 'banned_words'
        )
    ),
    constraint quality_rules_evidence_is_known
    check (evidence_fact in ('review_count', 'order_count')),
    constraint quality_rules_evidence_has_minimum
    check ((evidence_fact is null) = (evidence_minimum is null)),
    constraint quality_rules_has_range check (num_nonnulls(minimum, maximum) > 0),
    constraint quality_rules_range_is_not_empty check (minimum <= maximum),
    constraint quality_rules_reasons_are_one_line
    check (reason_en ~ '^[^[:cntrl:]]+$' and reason_fr ~ '^[^[:cntrl:]]+$')
);

alter table private.quality_rules enable row level security;

create trigger quality_rules_10_update_updated_at
before update on private.quality_rules
for each row execute function public.update_updated_at_column();

comment on table private.quality_rules is
'A good whose fact is below the minimum or above the maximum is not taken in; of several broken '
'rules the first by position is the reason that is counted.';
comment on column private.quality_rules.channel is 'The rule''s channel; null = both.';
comment on column private.quality_rules.evidence_fact is
'The rule holds only when this fact is known and at least evidence_minimum: a bad rating by two '
'people says little.';

create table private.banned_words (
    word text primary key,
    note text not null,
    constraint banned_words_word_is_plain check (word ~ '^[[:alnum:]][[:alnum:] -]{1,60}$')
);

alter table private.banned_words enable row level security;

comment on table private.banned_words is
'Words that no title in the shop has: brands we may not sell, goods that are forbidden.';

create or replace function private.banned_pattern()
returns text
language sql
stable
set search_path = ''
as $$
    select '\m(' || string_agg(b.word, '|' order by b.word) || ')\M'
    from private.banned_words as b
$$;

create or replace function private.broken_rules(
    facts private.supplier_facts [], channel public.product_channel
)
returns table (place bigint, reasons text [])
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
    select f.place, array_agg(r.rule order by r.position)
    from unnest(broken_rules.facts) with ordinality as f (
        has_banned_word, rating, review_count, order_count, seller_rating, image_count, stock,
        ship_to_count, price, price_to_median, place
    )
    cross join private.quality_rules as r
    cross join lateral (
        select
            case r.fact
                when 'rating' then f.rating
                when 'review_count' then f.review_count
                when 'order_count' then f.order_count
                when 'seller_rating' then f.seller_rating
                when 'image_count' then f.image_count
                when 'stock' then f.stock
                when 'ship_to_count' then f.ship_to_count
                when 'price' then f.price
                when 'price_to_median' then f.price_to_median
                when 'banned_words' then f.has_banned_word::integer
            end as fact,
            case r.evidence_fact
                when 'review_count' then f.review_count
                when 'order_count' then f.order_count
            end as evidence
    ) as v
    where r.is_enabled
        and (r.channel is null or r.channel = broken_rules.channel)
        and (r.evidence_fact is null or v.evidence >= r.evidence_minimum)
        and (v.fact < r.minimum or v.fact > r.maximum)
    group by f.place;
end
$$;

revoke all on function private.banned_pattern() from public;
revoke all on function private.broken_rules(private.supplier_facts [], public.product_channel)
from public;

comment on function private.banned_pattern() is
'What a title with a banned word matches, whatever its case; null when there is none.';
comment on function private.broken_rules(private.supplier_facts [], public.product_channel) is
'The rules that each of many goods breaks, in order; no row for goods that are good enough.';
