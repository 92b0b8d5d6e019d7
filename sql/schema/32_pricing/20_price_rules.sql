-- How a price comes about, as rows. Of each component the rule that says most about the listing
-- wins: of its nearest category, then its country, then its channel.

create table private.price_rules (
    id uuid primary key default gen_random_uuid(),
    component text not null,
    channel public.product_channel,
    country text references public.countries (code) on delete restrict,
    category_id uuid references public.categories (id) on delete cascade,
    costs numrange not null default '[0,)',
    percent numeric(7, 4) not null default 0,
    amount numeric(12, 2) not null default 0,
    per_kilogram numeric(12, 2) not null default 0,
    currency text not null default 'USD' references public.currencies (code) on delete restrict,
    assumed_grams integer not null default 500,
    volume_divisor integer,
    note text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint price_rules_component_is_known
    check (
        component in ('freight', 'duty', 'exchange_buffer', 'payment_fee', 'margin', 'floor')
    ),
    constraint price_rules_costs_are_half_open
    check (
        not isempty(costs) and lower_inc(costs) and lower(costs) between 0 and 9999999999
        and not upper_inc(costs)
    ),
    constraint price_rules_percent_in_range
    check (percent between 0 and case when component = 'payment_fee' then 30 else 900 end),
    constraint price_rules_amounts_not_negative check (
        amount between 0 and 9999999999.99 and per_kilogram between 0 and 9999999999.99
    ),
    constraint price_rules_fits_component
    check (
        case component
            when 'freight' then percent = 0
            when 'margin' then per_kilogram = 0
            when 'floor' then per_kilogram = 0
            else amount = 0 and per_kilogram = 0
        end
        and (component = 'freight' or volume_divisor is null)
    ),
    constraint price_rules_assumed_grams_positive check (assumed_grams > 0),
    constraint price_rules_volume_divisor_positive check (volume_divisor > 0),
    constraint price_rules_note_is_one_line check (note ~ '^[^[:cntrl:]]{1,200}$'),
    constraint price_rules_no_overlap
    exclude using gist (
        component with =,
        (case channel when 'retail' then 1 when 'wholesale' then 2 else 0 end) with =,
        (coalesce(country, '')) with =,
        (coalesce(category_id, '00000000-0000-0000-0000-000000000000'::uuid)) with =,
        costs with &&
    )
);

alter table private.price_rules enable row level security;

create index price_rules_country_idx on private.price_rules (country);
create index price_rules_category_id_idx on private.price_rules (category_id);
create index price_rules_currency_idx on private.price_rules (currency);

create trigger price_rules_10_update_updated_at
before update on private.price_rules
for each row execute function public.update_updated_at_column();

comment on table private.price_rules is
'Components of a price. freight: amount and per_kilogram of what a parcel weighs or, if that is '
'more, of what it counts for by its size, where the supplier quoted none. duty: '
'percent of goods and freight. exchange_buffer: percent, where the supplier''s currency is not '
'the country''s. payment_fee: percent of the final price. margin: percent of what a piece costs '
'landed, at least amount. floor: the same, below which nothing is sold.';
comment on column private.price_rules.channel is 'Null = both, as country and category_id.';
comment on column private.price_rules.category_id is 'Holds for the categories below it as well.';
comment on column private.price_rules.costs is 'What the supplier asks for a piece, in dollars.';
comment on column private.price_rules.assumed_grams is 'The weight of goods that have none.';
comment on column private.price_rules.volume_divisor is
'Cubic centimetres that carriers count as a kilogram: 5000 or 6000 by air. Null = weight alone.';

create table private.price_roundings (
    currency text not null references public.currencies (code) on delete restrict,
    amounts numrange not null,
    step numeric(12, 2) not null,
    ending numeric(12, 2) not null default 0,
    primary key (currency, amounts),
    constraint price_roundings_step_positive check (step > 0),
    constraint price_roundings_ending_is_within_step check (ending >= 0 and ending < step),
    constraint price_roundings_amounts_are_half_open
    check (
        not isempty(amounts) and lower_inc(amounts) and lower(amounts) >= 0
        and not upper_inc(amounts)
    ),
    constraint price_roundings_no_overlap
    exclude using gist (currency with =, amounts with &&)
);

alter table private.price_roundings enable row level security;

comment on table private.price_roundings is
'How the rule''s prices end, by currency and size: up to the next multiple of step plus ending.';

create or replace function private.round_price(amount numeric, currency text)
returns numeric
language plpgsql
stable
set search_path = ''
as $$
begin
    return coalesce(
        (
            select ceil((round_price.amount - r.ending) / r.step) * r.step + r.ending
            from private.price_roundings as r
            where r.currency = round_price.currency and r.amounts @> round_price.amount
        ),
        (
            select
                ceil(round_price.amount * 10::numeric ^ c.minor_unit) / 10::numeric ^ c.minor_unit
            from public.currencies as c
            where c.code = round_price.currency
        )
    );
end
$$;

revoke all on function private.round_price(numeric, text) from public;

comment on function private.round_price(numeric, text) is
'An amount rounded up as prices of its currency end: never less than it was.';
