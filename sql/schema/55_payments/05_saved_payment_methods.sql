create table public.saved_payment_methods (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    gateway text not null references private.payment_gateways (code) on delete restrict,
    method text not null references public.payment_methods (code) on delete restrict,
    label text not null,
    expires_on date,
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    constraint saved_payment_methods_label_is_one_line
    check (label ~ '^[^[:cntrl:]]{1,60}$'),
    constraint saved_payment_methods_holds_no_card_number
    check (not private.holds_card_number(label))
);

alter table public.saved_payment_methods enable row level security;

create index saved_payment_methods_user_id_idx on public.saved_payment_methods (user_id);
create index saved_payment_methods_gateway_idx on public.saved_payment_methods (gateway);
create index saved_payment_methods_method_idx on public.saved_payment_methods (method);

comment on table public.saved_payment_methods is
'Cards and accounts that a gateway keeps for a person. The shop has the gateway''s token, never '
'a number.';
comment on column public.saved_payment_methods.label is
'What the person knows it by, such as Visa …0015.';

create policy select_own on public.saved_payment_methods
for select to authenticated
using (user_id = (select auth.uid()));

create policy delete_own on public.saved_payment_methods
for delete to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own on public.saved_payment_methods is
'A person sees their own saved methods.';
comment on policy delete_own on public.saved_payment_methods is
'A person forgets their own saved methods.';

grant select, delete on public.saved_payment_methods to authenticated;
grant select on public.saved_payment_methods to service_role;

create table private.saved_payment_method_tokens (
    saved_payment_method_id uuid primary key
    references public.saved_payment_methods (id) on delete cascade,
    gateway text not null,
    token text not null,
    user_id uuid not null references public.users (id) on delete cascade,
    constraint saved_payment_method_tokens_token_key unique (gateway, user_id, token),
    constraint saved_payment_method_tokens_holds_no_card_number
    check (not private.holds_card_number(token))
);

alter table private.saved_payment_method_tokens enable row level security;

create index saved_payment_method_tokens_user_id_idx
on private.saved_payment_method_tokens (user_id);

comment on table private.saved_payment_method_tokens is
'The gateways'' tokens of saved methods: good for nothing without the shop''s own keys.';

create or replace function private.save_payment_method(
    user_id uuid, gateway text, method text, saved jsonb
)
returns uuid
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid;
    v_label text := left(private.clean_words(save_payment_method.saved ->> 'label'), 60);
    v_expires_on date := case
        when save_payment_method.saved ->> 'expires_on' ~ '^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])$'
            then (save_payment_method.saved ->> 'expires_on')::date
        when save_payment_method.saved ->> 'expires_on' ~ '^\d{4}-(0[1-9]|1[0-2])-\d\d$'
            then (
                to_date(left(save_payment_method.saved ->> 'expires_on', 7), 'YYYY-MM')
                + interval '1 month - 1 day'
            )::date
    end;
begin
    -- What cannot be kept is not kept: money that came must not wait for it.
    if nullif(save_payment_method.saved ->> 'token', '') is null
        or private.holds_card_number(save_payment_method.saved ->> 'token') then
        return null;
    end if;
    select t.saved_payment_method_id into v_id
    from private.saved_payment_method_tokens as t
    where t.gateway = save_payment_method.gateway
        and t.user_id = save_payment_method.user_id
        and t.token = save_payment_method.saved ->> 'token';
    if found then
        update public.saved_payment_methods as m
        set last_used_at = now(),
            expires_on = coalesce(v_expires_on, m.expires_on)
        where m.id = v_id;
        return v_id;
    end if;
    insert into public.saved_payment_methods (user_id, gateway, method, label, expires_on)
    values (
        save_payment_method.user_id, save_payment_method.gateway, save_payment_method.method,
        coalesce(
            nullif(btrim(v_label), ''),
            (select g.name from private.payment_gateways as g where g.code = save_payment_method.gateway)
        ),
        v_expires_on
    )
    returning id into v_id;
    insert into private.saved_payment_method_tokens (
        saved_payment_method_id, gateway, token, user_id
    )
    values (
        v_id, save_payment_method.gateway, save_payment_method.saved ->> 'token',
        save_payment_method.user_id
    );
    return v_id;
end
$$;

revoke all on function private.save_payment_method(uuid, text, text, jsonb) from public;

comment on function private.save_payment_method(uuid, text, text, jsonb) is
'Keeps {token, label, expires_on} of a gateway for a person, once a token; its id.';

create or replace function public.delete_saved_payment_method(id uuid)
returns boolean
language sql
set search_path = ''
as $$
    with deleted as (
        delete from public.saved_payment_methods as m
        where m.id = delete_saved_payment_method.id and m.user_id = (select auth.uid())
        returning m.id
    )

    select exists (select from deleted)
$$;

revoke all on function public.delete_saved_payment_method(uuid) from public;
grant execute on function public.delete_saved_payment_method(uuid) to authenticated;

comment on function public.delete_saved_payment_method(uuid) is
'Forgets one of the caller''s saved methods; whether there was one. Twice is once.';
