create type public.payment_trail_entry as (
    at timestamptz,
    kind text,
    actor_type text,
    actor_id uuid,
    payment_id uuid,
    refund_id uuid,
    event_id uuid,
    request_id text,
    detail jsonb
);

comment on type public.payment_trail_entry is
'One step of an order''s money: when, what, by whom, on which notice of a gateway (event_id), in '
'which request.';

create or replace function private.payment_trail(order_id uuid)
returns setof public.payment_trail_entry
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_admin();
    if not exists (select from public.orders as o where o.id = payment_trail.order_id) then
        perform private.fail('order_not_found', payment_trail.order_id::text);
    end if;
    return query
    select t.at, t.kind, t.actor_type, t.actor_id, t.payment_id, t.refund_id, t.event_id,
        t.request_id, t.detail
    from (
        select
            e.created_at as at, e.kind, e.actor_type, e.actor_id, null::uuid as payment_id,
            null::uuid as refund_id, null::uuid as event_id, null::text as request_id,
            jsonb_strip_nulls(jsonb_build_object(
                'from_status', e.from_status, 'to_status', e.to_status, 'note', e.note
            )) as detail, 1 as place
        from public.order_events as e
        where e.order_id = payment_trail.order_id
        union all
        select
            v.received_at, 'notice_received', 'gateway', null, v.payment_id, v.refund_id, v.id,
            v.request_id,
            jsonb_strip_nulls(jsonb_build_object(
                'gateway', v.gateway, 'event_type', v.event_type, 'outcome', v.outcome,
                'handled_at', v.handled_at
            )), 2
        from private.webhook_events as v
        inner join public.payments as p on v.payment_id = p.id
        where p.order_id = payment_trail.order_id
        union all
        select
            e.created_at, 'payment_' || e.kind, e.actor_type, e.actor_id, e.payment_id,
            e.refund_id, e.event_id, e.request_id, e.detail, 3
        from private.payment_events as e
        where e.order_id = payment_trail.order_id
        union all
        select
            l.created_at, 'posted_' || l.kind, 'system', null, l.payment_id, l.refund_id, null,
            l.request_id,
            (
                select
                    jsonb_agg(
                        jsonb_build_object(
                            'account', n.account, 'amount', n.amount, 'currency', n.currency
                        )
                        order by n.id
                    )
                from private.ledger_entries as n
                where n.transaction_id = l.id
            ), 4
        from private.ledger_transactions as l
        where l.order_id = payment_trail.order_id
        union all
        select
            x.created_at, 'exception_opened', 'system', null, x.payment_id, x.refund_id,
            x.event_id, null,
            jsonb_strip_nulls(jsonb_build_object(
                'exception_id', x.id, 'kind', x.kind, 'detail', x.detail
            )), 5
        from private.payment_exceptions as x
        where x.order_id = payment_trail.order_id
    ) as t
    order by t.at, t.place;
end
$$;

create or replace function public.payment_trail(order_id uuid)
returns setof public.payment_trail_entry
language sql
stable
set search_path = ''
as $$
    select t.* from private.payment_trail(payment_trail.order_id) as t
$$;

revoke all on function private.payment_trail(uuid) from public;
revoke all on function public.payment_trail(uuid) from public;
grant execute on function private.payment_trail(uuid) to authenticated;
grant execute on function public.payment_trail(uuid) to authenticated;

comment on function private.payment_trail(uuid) is
'Core of payment_trail. Definer because notices, ledger and desk are closed; only for admins.';
comment on function public.payment_trail(uuid) is
'Admins: everything that happened to an order''s money, oldest first. Errors: '
'authentication_required, admin_required, order_not_found.';
