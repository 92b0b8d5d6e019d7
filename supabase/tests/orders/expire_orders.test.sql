-- A hold that ran out is released once, not before its time, and never from a paid order.
begin;
\ir ../_helpers.psql
select plan(25);

-- given orders with a code: two overdue for long, one due this moment, one in time, one paid, one
-- cancelled
select tests.make_user('amina', 'fr', 'CM');
select tests.make_affiliate('pat');
select tests.make_product('shoe', 50);
select tests.make_wholesale_product('box', 500);
select tests.make_promo_code('PAT10', 'pat');
select tests.place_order(
    o.name, 'amina', jsonb_build_array(tests.item('shoe', 2), tests.item('box', 10)),
    promo_code => 'PAT10'
)
from (
    values ('oldest'), ('older'), ('due'), ('in-time'), ('paid'), ('cancelled')
) as o (name);
update public.orders as o
set expires_at = t.expires_at
from (
    values
    ('oldest', timestamptz '2000-01-01'), ('older', '2000-01-02'), ('due', now()),
    ('in-time', now() + interval '1 microsecond'), ('paid', '2000-01-01'),
    ('cancelled', '2000-01-01')
) as t (name, expires_at)
where o.id = tests.id(t.name);
update public.orders set status = 'paid', paid_at = now() where id = tests.id('paid');
select tests.act_as('amina');
select (public.cancel_order(tests.id('cancelled'))).status;
select tests.act_as_owner();
delete from private.outbox;

create function tests.holds() returns text
language sql stable security definer as $$
    select format(
        'shoe %s/%s, box %s/%s, code %s+%s', s.reserved, s.on_hand, b.reserved, b.on_hand,
        p.usage_count, p.reserved_count
    )
    from public.product_stock as s, public.product_stock as b, public.promo_codes as p
    where s.listing_id = tests.id('shoe') and b.listing_id = tests.id('box')
        and p.id = tests.id('PAT10')
$$;
create function tests.release(order_name text) returns jsonb
language plpgsql as $$
declare
    v_answer jsonb;
    v_order_id uuid := tests.id(order_name);
begin
    perform tests.act_as_service();
    -- whoever acted before in this session
    perform set_config('mallgram.actor_type', 'gateway', true);
    v_answer := service.release_order_hold(v_order_id);
    perform tests.act_as_owner();
    return v_answer;
end
$$;

select is(tests.holds(), 'shoe 10/50, box 50/500, code 0+5', 'five orders hold');

-- Which are due -----------------------------------------------------------------------------------

select tests.act_as_service();
select is(
    service.claim_expired_orders(1), jsonb_build_array(tests.id('oldest')),
    'a batch of one is the oldest'
);
select is(
    service.claim_expired_orders(2), jsonb_build_array(tests.id('oldest'), tests.id('older')),
    'a batch of two follows in order'
);
select ok(
    service.claim_expired_orders(1000000) @> jsonb_build_array(tests.id('due')),
    'an order is due at its time'
);
select ok(
    not service.claim_expired_orders(1000000) @> jsonb_build_array(tests.id(o.name)),
    format('%s is not among them', o.name)
)
from (values ('in-time'), ('paid'), ('cancelled')) as o (name);
select is(service.claim_expired_orders(0), '[]', 'a batch of none is none');

-- Releasing ---------------------------------------------------------------------------------------

select tests.act_as_owner();
select is(tests.release('oldest'), '{"released": true}', 'the oldest is released');
select is(
    tests.holds(), 'shoe 8/50, box 40/500, code 0+4',
    'its goods and its use of the code are given back'
);
select results_eq(
    $$ select o.status::text, o.payment_status::text, o.cancel_reason, o.cancelled_at = now(),
           o.paid_at
       from public.orders as o where o.id = tests.id('oldest') $$,
    $$ values ('cancelled', 'pending', 'payment_expired', true, null::timestamptz) $$,
    'it is cancelled because nobody paid'
);
select results_eq(
    $$ select e.kind, e.from_status::text, e.to_status::text, e.actor_type, e.actor_id, e.note
       from public.order_events as e
       where e.order_id = tests.id('oldest') and e.kind <> 'placed' $$,
    $$ values ('cancelled', 'pending', 'cancelled', 'system', null::uuid, 'payment_expired') $$,
    'by the system, says its event'
);
select results_eq(
    $$ select n.user_id, n.kind from public.notifications as n
       where n.data ->> 'order_id' = tests.id('oldest')::text $$,
    $$ values (tests.id('amina'), 'order_cancelled') $$,
    'its owner finds a message'
);
select is(
    (public.cancel_order(tests.id('oldest'))).cancel_reason, 'payment_expired',
    'cancelled by its owner after that, it stays as it is'
)
from tests.act_as('amina');
select tests.act_as_owner();

select tests.remember();
select is(tests.release('oldest'), '{"released": false}', 'again, it is not released');
select is(tests.release('in-time'), '{"released": false}', 'before its time it is not released');
select is(tests.release('paid'), '{"released": false}', 'a paid order is not released');
select is(tests.release('cancelled'), '{"released": false}', 'a cancelled one is not released');
select is(tests.release('shoe'), '{"released": false}', 'what is no order is not released');
select tests.nothing_changed('and none of these changed a row');

select is(tests.release('due'), '{"released": true}', 'the one that is due is released');
select is(tests.release('older'), '{"released": true}', 'and the older one');
select is(
    tests.holds(), 'shoe 4/50, box 20/500, code 0+2', 'the paid one and the one in time hold'
);

-- After that --------------------------------------------------------------------------------------

update public.orders set expires_at = now() where id = tests.id('in-time');
select is(tests.release('in-time'), '{"released": true}', 'when its time comes it is released too');
select is(tests.holds(), 'shoe 2/50, box 10/500, code 0+1', 'and only the paid one holds');

select * from finish();
rollback;
