-- A supplier platform is used in a person's name: they consent in a browser, the platform gives a
-- token that lives for weeks, and another that renews it. One row a platform says who may ask for
-- the next token, so that two workers never spend the same one.

create table private.supplier_tokens (
    platform text primary key,
    consent_page text,
    consent_state uuid not null default gen_random_uuid(),
    consent_code text,
    consented_at timestamptz,
    consented_by uuid references public.users (id) on delete set null,
    account_id text,
    access_token text,
    access_expires_at timestamptz,
    refresh_token text,
    refresh_expires_at timestamptz,
    issued_at timestamptz,
    lease uuid,
    lease_ends_at timestamptz,
    refused_at timestamptz,
    refused_code text,
    constraint supplier_tokens_platform_is_known check (platform in ('alibaba', 'aliexpress')),
    constraint supplier_tokens_token_has_an_end
    check (num_nulls(access_token, access_expires_at, issued_at) in (0, 3)),
    constraint supplier_tokens_lease_has_an_end check ((lease is null) = (lease_ends_at is null)),
    constraint supplier_tokens_refused_has_code
    check ((refused_at is null) = (refused_code is null)),
    constraint supplier_tokens_consent_code_is_one_word
    check (consent_code ~ '^[A-Za-z0-9_.~:-]{4,255}$')
);

alter table private.supplier_tokens enable row level security;

create index supplier_tokens_consented_by_idx on private.supplier_tokens (consented_by);

comment on table private.supplier_tokens is
'The token with which a supplier platform is used, and who may renew it. A code waits in '
'consent_code until it was changed for a token; a lease is one worker''s right to ask for the '
'next.';
comment on column private.supplier_tokens.consent_page is
'Where a person consents; consent_state is added, and comes back with the code.';
comment on column private.supplier_tokens.refused_at is
'When the platform said that a person must consent anew.';

create or replace function private.supplier_token_due_at(token private.supplier_tokens)
returns timestamptz
language sql
immutable
set search_path = ''
as $$
    -- Four fifths of its life: a refresh that fails has days to be tried again.
    select
        supplier_token_due_at.token.issued_at + 0.8 * (
            supplier_token_due_at.token.access_expires_at - supplier_token_due_at.token.issued_at
        )
$$;

create or replace function private.warn_of_supplier_token(
    platform text, ends_at timestamptz, detail text
)
returns boolean
language plpgsql
set search_path = ''
as $$
begin
    -- One warning for each end: what was dismissed stays so until the end is another.
    return private.open_payment_exception(
        kind => 'supplier_consent_ends',
        subject_id => md5(
            format(
                '%s/%s', warn_of_supplier_token.platform,
                extract(epoch from warn_of_supplier_token.ends_at)
            )
        )::uuid,
        detail => warn_of_supplier_token.detail,
        evidence => jsonb_build_object(
            'platform', warn_of_supplier_token.platform,
            'ends_at', warn_of_supplier_token.ends_at
        )
    ) is not null;
end
$$;

revoke all on function private.supplier_token_due_at(private.supplier_tokens) from public;
revoke all on function private.warn_of_supplier_token(text, timestamptz, text) from public;

comment on function private.supplier_token_due_at(private.supplier_tokens) is
'When a token should be renewed; null without one.';
comment on function private.warn_of_supplier_token(text, timestamptz, text) is
'Puts the end of a consent before the admins, once for each end. Whether it was new.';

create or replace function service.claim_token_refresh(
    platform text, refused_token text, lease_seconds integer
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_token private.supplier_tokens;
    v_is_good boolean;
    v_next text;
    v_good_until timestamptz;
begin
    select t.* into v_token
    from private.supplier_tokens as t
    where t.platform = claim_token_refresh.platform
    for update;
    v_is_good := coalesce(
        v_token.access_expires_at > now() + interval '1 minute'
        and v_token.access_token is distinct from claim_token_refresh.refused_token,
        false
    );
    v_next := case
        when v_token.consent_code is not null then 'create'
        when v_is_good and now() < private.supplier_token_due_at(v_token) then 'none'
        when v_token.refresh_token is null
            or v_token.refused_at is not null
            or v_token.refresh_expires_at <= now() then 'none'
        else 'refresh'
    end;
    if v_next <> 'none' and coalesce(v_token.lease_ends_at <= now(), true) then
        update private.supplier_tokens as t
        set lease = gen_random_uuid(),
            lease_ends_at = now() + make_interval(secs => claim_token_refresh.lease_seconds)
        where t.platform = v_token.platform
        returning t.* into strict v_token;
    elsif not v_is_good and v_next <> 'none' then
        return jsonb_build_object(
            'state', 'awaited',
            'retry_after', ceil(extract(epoch from v_token.lease_ends_at - now()))::integer
        );
    elsif not v_is_good then
        return jsonb_build_object('state', 'consent_needed');
    else
        v_next := 'good';
    end if;
    -- A token that is due is asked about again soon, one that is not when it is.
    v_good_until := least(
        v_token.access_expires_at - interval '1 minute',
        greatest(private.supplier_token_due_at(v_token), now() + interval '5 minutes')
    );
    return jsonb_strip_nulls(jsonb_build_object(
        'state', v_next,
        'access_token', case when v_is_good then v_token.access_token end,
        'good_until', case when v_is_good then v_good_until end,
        'lease', case when v_next <> 'good' then v_token.lease end,
        'code', case when v_next = 'create' then v_token.consent_code end,
        'refresh_token', case when v_next = 'refresh' then v_token.refresh_token end
    ));
end
$$;

create or replace function service.record_supplier_token(
    platform text,
    lease uuid,
    access_token text,
    refresh_token text,
    access_expires_at timestamptz,
    refresh_expires_at timestamptz,
    account_id text
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_token private.supplier_tokens;
begin
    update private.supplier_tokens as t
    set access_token = record_supplier_token.access_token,
        access_expires_at = record_supplier_token.access_expires_at,
        -- An answer to a refresh may leave out the token that stays as it is.
        refresh_token = case
            when record_supplier_token.refresh_token is not null
                then record_supplier_token.refresh_token
            when t.consent_code is null then t.refresh_token
        end,
        refresh_expires_at = case
            when record_supplier_token.refresh_expires_at is not null
                then record_supplier_token.refresh_expires_at
            when record_supplier_token.refresh_token is null and t.consent_code is null
                then t.refresh_expires_at
        end,
        account_id = coalesce(nullif(record_supplier_token.account_id, ''), t.account_id),
        issued_at = now(),
        consent_code = null,
        lease = null,
        lease_ends_at = null,
        refused_at = null,
        refused_code = null
    where t.platform = record_supplier_token.platform and t.lease = record_supplier_token.lease
    returning t.* into v_token;
    if not found then
        return null;
    end if;
    if coalesce(v_token.refresh_expires_at, v_token.access_expires_at)
        > now() + interval '5 days' then
        update private.payment_exceptions as e
        set resolved_at = now(), resolution = 'settled'
        where e.kind = 'supplier_consent_ends'
            and e.resolved_at is null
            and e.evidence ->> 'platform' = v_token.platform;
    end if;
    return jsonb_build_object(
        'access_token', v_token.access_token,
        'good_until', least(
            v_token.access_expires_at - interval '1 minute',
            greatest(private.supplier_token_due_at(v_token), now() + interval '5 minutes')
        )
    );
end
$$;

create or replace function service.record_token_refused(
    platform text, lease uuid, code text, is_final boolean
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_token private.supplier_tokens;
    v_is_held boolean;
begin
    update private.supplier_tokens as t
    set consent_code = case when not record_token_refused.is_final then t.consent_code end,
        refused_at = case when record_token_refused.is_final then now() else t.refused_at end,
        refused_code = case
            when record_token_refused.is_final then record_token_refused.code
            else t.refused_code
        end,
        -- While there is a token to work with, the next try can wait.
        lease = case
            when not record_token_refused.is_final and t.access_expires_at > now() then t.lease
        end,
        lease_ends_at = case
            when not record_token_refused.is_final and t.access_expires_at > now()
                then now() + interval '1 minute'
        end
    where t.platform = record_token_refused.platform and t.lease = record_token_refused.lease
    returning t.* into v_token;
    v_is_held := found;
    if v_is_held and record_token_refused.is_final then
        perform private.warn_of_supplier_token(
            v_token.platform,
            coalesce(v_token.refresh_expires_at, v_token.access_expires_at, v_token.consented_at),
            v_token.platform || ': ' || record_token_refused.code
        );
    end if;
    return to_jsonb(v_is_held);
end
$$;

create or replace function service.record_consent_page(platform text, consent_page text)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    insert into private.supplier_tokens as t (platform, consent_page)
    values (record_consent_page.platform, record_consent_page.consent_page)
    on conflict on constraint supplier_tokens_pkey do update
    set consent_page = excluded.consent_page
    where t.consent_page is distinct from excluded.consent_page
    returning null::jsonb
$$;

create or replace function service.warn_of_token_ends()
returns jsonb
language sql
security definer
set search_path = ''
as $$
    select
        jsonb_build_object(
            'warned',
            count(*) filter (
                where private.warn_of_supplier_token(
                    t.platform, e.ends_at,
                    t.platform || ': ' || to_char(e.ends_at at time zone 'utc', 'YYYY-MM-DD')
                )
            )
        )
    from private.supplier_tokens as t
    cross join lateral (
        select
            case
                when t.refresh_token is null then t.access_expires_at else t.refresh_expires_at
            end as ends_at
    ) as e
    where t.refused_at is null and t.consent_code is null and e.ends_at <= now() + interval '5 days'
$$;

revoke all on function service.claim_token_refresh(text, text, integer) from public;
revoke all on function service.record_consent_page(text, text) from public;
revoke all on function service.record_supplier_token(
    text, uuid, text, text, timestamptz, timestamptz, text
) from public;
revoke all on function service.record_token_refused(text, uuid, text, boolean) from public;
revoke all on function service.warn_of_token_ends() from public;
grant execute on function service.claim_token_refresh(text, text, integer) to mallgram_service;
grant execute on function service.record_consent_page(text, text) to mallgram_service;
grant execute on function service.record_supplier_token(
    text, uuid, text, text, timestamptz, timestamptz, text
) to mallgram_service;
grant execute on function service.record_token_refused(text, uuid, text, boolean)
to mallgram_service;
grant execute on function service.warn_of_token_ends() to mallgram_service;

comment on function service.claim_token_refresh(text, text, integer) is
'What the caller may do: {state, access_token, good_until, lease, code, refresh_token, '
'retry_after}. good: use the token until then. create, refresh: it alone may ask for a token by '
'that code or refresh token; access_token is still good where it is there. awaited: another is '
'asking. consent_needed: a person must. refused_token: the one that the platform did not take. '
'Definer because tokens are closed to the service.';
comment on function service.record_consent_page(text, text) is
'Where a person consents to a platform''s use, shown to admins. Definer because tokens are closed '
'to the service.';
comment on function service.record_supplier_token(
    text, uuid, text, text, timestamptz, timestamptz, text
) is
'Stores the token that the lease''s holder was given: {access_token, good_until}; null when the '
'lease was lost. Warnings of an end that moved away are settled. Definer because tokens are '
'closed to the service.';
comment on function service.record_token_refused(text, uuid, text, boolean) is
'The lease''s holder was given no token: true, false when the lease was lost. Final: a person must '
'consent anew, and the admins are told. Definer because tokens are closed to the service.';
comment on function service.warn_of_token_ends() is
'Warns the admins of each consent that ends within 5 days, once: {warned}. Definer because tokens '
'are closed to the service.';

create or replace function private.connect_supplier(platform text, code text, state uuid)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_admin_id uuid := private.require_admin();
begin
    update private.supplier_tokens as t
    set consent_code = connect_supplier.code,
        consent_state = gen_random_uuid(),
        consented_at = now(),
        consented_by = v_admin_id,
        refused_at = null,
        refused_code = null,
        lease = null,
        lease_ends_at = null
    where t.platform = connect_supplier.platform
        and t.consent_state = connect_supplier.state
        and connect_supplier.code ~ '^[A-Za-z0-9_.~:-]{4,255}$';
    if not found then
        perform private.fail('supplier_consent_invalid', connect_supplier.platform);
    end if;
    perform private.emit('refresh_supplier_tokens', '{}', wakes_relay => true);
end
$$;

create or replace function private.supplier_connections()
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_admin();
    return (
        select
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'platform', t.platform,
                        'account_id', t.account_id,
                        'status', case
                            when t.consent_code is not null then 'connecting'
                            when coalesce(t.access_expires_at <= now(), true) then 'disconnected'
                            when t.refused_at is not null
                                or coalesce(t.refresh_expires_at, t.access_expires_at)
                                <= now() + interval '5 days' then 'ending'
                            else 'connected'
                        end,
                        'access_expires_at', t.access_expires_at,
                        'refresh_expires_at', t.refresh_expires_at,
                        'refused_code', t.refused_code,
                        'consented_at', t.consented_at,
                        'consented_by', t.consented_by,
                        'consent_url', t.consent_page || '&state=' || t.consent_state
                    )
                    order by t.platform
                ),
                '[]'
            )
        from private.supplier_tokens as t
    );
end
$$;

create or replace function public.connect_supplier(platform text, code text, state uuid)
returns void
language sql
set search_path = ''
as $$
    select private.connect_supplier(
        connect_supplier.platform, connect_supplier.code, connect_supplier.state
    )
$$;

create or replace function public.supplier_connections()
returns jsonb
language sql
stable
set search_path = ''
as $$
    select private.supplier_connections()
$$;

revoke all on function private.connect_supplier(text, text, uuid) from public;
revoke all on function private.supplier_connections() from public;
revoke all on function public.connect_supplier(text, text, uuid) from public;
revoke all on function public.supplier_connections() from public;
grant execute on function private.connect_supplier(text, text, uuid) to authenticated;
grant execute on function private.supplier_connections() to authenticated;
grant execute on function public.connect_supplier(text, text, uuid) to authenticated;
grant execute on function public.supplier_connections() to authenticated;

comment on function private.connect_supplier(text, text, uuid) is
'See public.connect_supplier. Definer because tokens are closed to everyone; asks for an admin.';
comment on function private.supplier_connections() is
'See public.supplier_connections. Definer because tokens are closed to everyone; asks for an '
'admin.';
comment on function public.connect_supplier(text, text, uuid) is
'Admins: the code and state with which a supplier platform sent the browser back; a worker changes '
'the code for a token at once. Errors: authentication_required, admin_required, '
'supplier_consent_invalid.';
comment on function public.supplier_connections() is
'Admins: each supplier platform''s connection: [{platform, account_id, status, access_expires_at, '
'refresh_expires_at, refused_code, consented_at, consented_by, consent_url}], status connecting, '
'connected, ending or disconnected. Errors: authentication_required, admin_required.';
