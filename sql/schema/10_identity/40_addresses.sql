-- Addresses as they are given in Douala and Soweto: a landmark and a district, no postcode needed.

create table public.addresses (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    label text,
    recipient_name text not null,
    phone text not null,
    country text not null,
    city text not null,
    district text,
    landmark text,
    line1 text,
    latitude numeric(9, 6),
    longitude numeric(9, 6),
    is_default boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint addresses_texts_are_one_line
    check (concat(label, recipient_name, city, district, landmark, line1) ~ '^[^[:cntrl:]]*$'),
    constraint addresses_texts_are_short
    check (
        char_length(label) <= 60
        and char_length(recipient_name) between 1 and 120
        and char_length(city) between 1 and 120
        and char_length(district) <= 120
        and char_length(landmark) <= 200
        and char_length(line1) <= 200
    ),
    constraint addresses_holds_no_card_number
    check (
        not private.holds_card_number(
            concat_ws(' / ', label, recipient_name, city, district, landmark, line1)
        )
    ),
    constraint addresses_phone_is_e164 check (phone ~ '^\+[1-9][0-9]{6,14}$'),
    constraint addresses_say_where
    check (coalesce(line1, landmark, district) is not null or latitude is not null),
    constraint addresses_position_is_on_earth
    check (
        num_nonnulls(latitude, longitude) in (0, 2)
        and latitude between -90 and 90
        and longitude between -180 and 180
    )
);

alter table public.addresses enable row level security;

create index addresses_user_id_idx on public.addresses (user_id);
create unique index addresses_user_id_default_key on public.addresses (user_id) where is_default;

create trigger addresses_10_update_updated_at
before update on public.addresses
for each row execute function public.update_updated_at_column();

create or replace function private.tg_addresses__refuse_card_number()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    -- Before the CHECK, whose message would repeat the row, number and all.
    if private.holds_card_number(
        concat_ws(
            ' / ', new.label, new.recipient_name, new.city, new.district, new.landmark, new.line1
        )
    ) then
        perform private.fail('card_number_refused');
    end if;
    return new;
end
$$;

revoke all on function private.tg_addresses__refuse_card_number() from public;

comment on function private.tg_addresses__refuse_card_number() is
'Trigger: an address is no place for a card number. Error: card_number_refused.';

create trigger addresses_50_refuse_card_number
before insert or update on public.addresses
for each row execute function private.tg_addresses__refuse_card_number();

comment on table public.addresses is
'A person''s address book. An order keeps its own copy (orders.shipping_address).';
comment on column public.addresses.phone is 'E.164 with the plus sign: the courier calls it.';
comment on column public.addresses.latitude is 'WGS 84, degrees.';

create policy select_own_or_admin on public.addresses
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

create policy insert_own on public.addresses
for insert to authenticated
with check (user_id = (select auth.uid()) and (select private.has_login()));

create policy update_own on public.addresses
for update to authenticated
using (user_id = (select auth.uid()) and (select private.has_login()))
with check (user_id = (select auth.uid()) and (select private.has_login()));

create policy delete_own on public.addresses
for delete to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own_or_admin on public.addresses is
'A person sees their own addresses, an admin all.';
comment on policy insert_own on public.addresses is 'A person adds addresses of their own.';
comment on policy update_own on public.addresses is 'A person edits their own addresses.';
comment on policy delete_own on public.addresses is 'A person deletes their own addresses.';

grant select, delete on public.addresses to authenticated;
grant insert (
    id, label, recipient_name, phone, country, city, district, landmark, line1, latitude, longitude,
    is_default
), update (
    label, recipient_name, phone, country, city, district, landmark, line1, latitude, longitude,
    is_default
) on public.addresses to authenticated;
grant select, insert, update, delete on public.addresses to service_role;
