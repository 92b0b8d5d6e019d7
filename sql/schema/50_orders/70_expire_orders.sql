create or replace function service.claim_expired_orders(batch integer)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(jsonb_agg(o.id), '[]')
    from (
        select o.id
        from public.orders as o
        where o.status = 'pending' and o.expires_at <= now()
        order by o.expires_at
        limit claim_expired_orders.batch
    ) as o
$$;

create or replace function service.release_order_hold(order_id uuid)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform
    from public.orders as o
    where o.id = release_order_hold.order_id
        and o.status = 'pending'
        and o.expires_at <= now()
    for no key update skip locked;
    if not found then
        return jsonb_build_object('released', false);
    end if;
    perform private.act_as('system');
    perform private.release_order(release_order_hold.order_id, 'payment_expired');
    return jsonb_build_object('released', true);
end
$$;

revoke all on function service.claim_expired_orders(integer) from public;
revoke all on function service.release_order_hold(uuid) from public;
grant execute on function service.claim_expired_orders(integer) to mallgram_service;
grant execute on function service.release_order_hold(uuid) to mallgram_service;

comment on function service.claim_expired_orders(integer) is
'Ids of unpaid orders whose hold ran out. Definer because orders are closed to the service.';
comment on function service.release_order_hold(uuid) is
'Cancels one expired order (payment_expired) and gives back what it held: {released}. An order '
'that '
'somebody works on just now is left for the next run. Definer because orders are closed to it.';
