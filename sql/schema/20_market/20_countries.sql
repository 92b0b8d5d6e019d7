create table public.countries (
    code text primary key,
    name text not null,
    name_fr text not null,
    currency text not null references public.currencies (code) on delete restrict,
    languages text [] not null,
    phone_prefix text not null,
    constraint countries_code_is_iso_3166 check (code ~ '^[A-Z]{2}$'),
    constraint countries_languages_are_known
    check (languages <@ array['en', 'fr'] and cardinality(languages) > 0),
    constraint countries_phone_prefix_is_e164 check (phone_prefix ~ '^\+[1-9][0-9]{0,3}$')
);

alter table public.countries enable row level security;

create index countries_currency_idx on public.countries (currency);

comment on table public.countries is 'Countries the shop sells to (ISO 3166-1 alpha-2).';
comment on column public.countries.languages is 'Languages spoken there, the first is the default.';

create policy select_all on public.countries for select to anon, authenticated using (true);
comment on policy select_all on public.countries is 'Public reference data.';
grant select on public.countries to anon, authenticated, service_role;

alter table public.users
add constraint users_country_fkey
foreign key (country) references public.countries (code) on delete restrict;
create index users_country_idx on public.users (country);

alter table public.addresses
add constraint addresses_country_fkey
foreign key (country) references public.countries (code) on delete restrict;
create index addresses_country_idx on public.addresses (country);

create or replace function private.caller_country()
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select
        coalesce((select u.country from public.users as u where u.id = (select auth.uid())), 'ZA')
$$;

revoke all on function private.caller_country() from public;
grant execute on function private.caller_country() to anon, authenticated, service_role;

comment on function private.caller_country() is
'Country whose prices the caller sees when none is asked for: their own, else ZA. Definer '
'because a '
'guest has no row to see.';
