begin;
\ir ../_helpers.psql
select plan(22);

-- State moves along the transition tables only, forward only. Here: what the tables as a whole
-- allow; each single move is tried in orders/ and payments/.
create view tests.moves as
select 'order' as subject, t.from_status::text, t.to_status::text, false as needs_evidence
from private.order_transitions as t
union all
select 'payment of an order', t.from_status::text, t.to_status::text, t.needs_evidence
from private.payment_transitions as t where t.subject = 'order'
union all
select 'payment', t.from_status::text, t.to_status::text, t.needs_evidence
from private.payment_transitions as t where t.subject = 'payment'
union all
select 'refund', t.from_status::text, t.to_status::text, false
from private.refund_transitions as t;

create function tests.reached(subject text, from_status text) returns setof text
language sql as $$
    with recursive reach as (
        select m.to_status
        from tests.moves as m
        where m.subject = reached.subject and m.from_status = reached.from_status
        union
        select m.to_status
        from reach as r
        inner join tests.moves as m
            on r.to_status = m.from_status and m.subject = reached.subject
    )

    select r.to_status from reach as r
$$;

-- every status is reached from pending, none is a dead letter
select set_eq(
    $$select tests.reached('order', 'pending')$$,
    array['paid', 'shipped', 'delivered', 'cancelled'], 'every order status is reached from pending'
);
select set_eq(
    format('select tests.reached(%L, %L)', s, 'pending'),
    array['processing', 'paid', 'failed', 'cancelled', 'partially_refunded', 'refunded'],
    'every status of a ' || s || ' is reached from pending'
)
from unnest(array['payment', 'payment of an order']) as s;

-- an order only moves forward
create function tests.ways_back() returns setof text
language sql as $$
    select m.from_status || ' -> ' || m.to_status
    from tests.moves as m
    where m.subject = 'order'
        and m.from_status in (select tests.reached('order', m.to_status))
$$;
select tests.proves(
    'ways_back',
    $$insert into private.order_transitions values ('delivered', 'delivered')$$,
    'delivered -> delivered',
    $$delete from private.order_transitions where from_status = 'delivered'$$,
    'an order never comes back to where it was'
);
select set_eq(
    $$
    select e.enumlabel::text collate "default" from pg_catalog.pg_enum as e
    where e.enumtypid = 'public.order_status'::regtype
    except
    select t.from_status::text from private.order_transitions as t
    $$,
    array['delivered', 'cancelled'], 'an order ends delivered or cancelled'
);

-- an attempt to pay ends refunded; failed and cancelled it may still turn out paid, on evidence
select is_empty(
    $$
    select m.* from tests.moves as m
    where m.subject = 'payment' and m.from_status in (select tests.reached('payment', m.to_status))
    $$,
    'an attempt to pay never comes back to where it was'
);
select set_eq(
    $$
    select m.from_status from tests.moves as m
    where m.subject = 'payment' and m.to_status = 'paid'
    $$,
    array['pending', 'processing', 'failed', 'cancelled'],
    'from every state but the last it may turn paid'
);
select set_eq(
    $$select m.from_status || ' ' || m.to_status from tests.moves as m where m.needs_evidence$$,
    array['pending paid', 'processing paid', 'failed paid', 'cancelled paid'],
    'and to paid, only to paid, it needs the gateway''s own word'
);
select is_empty(
    $$
    select m.* from tests.moves as m
    where m.from_status = m.to_status or m.to_status = 'pending' and m.subject <> 'refund'
    $$,
    'nothing moves to itself, and no order or payment back to pending'
);
select set_eq(
    $$
    select m.from_status || ' ' || m.to_status from tests.moves as m
    where m.subject = 'payment of an order'
    except
    select m.from_status || ' ' || m.to_status from tests.moves as m where m.subject = 'payment'
    $$,
    array['failed processing', 'cancelled processing'],
    'an order''s payment moves as an attempt does, but for a new attempt after a failed one'
);

-- a refund ends refunded or cancelled; one that failed may still turn out refunded, and only one
-- that the rail surely did not take waits again
select set_eq(
    $$select tests.reached('refund', 'pending')$$,
    array['pending', 'processing', 'refunded', 'failed', 'cancelled'],
    'every status of a refund is reached from pending'
);
select set_eq(
    $$
    select e.enumlabel::text collate "default" from pg_catalog.pg_enum as e
    where e.enumtypid = 'public.refund_status'::regtype
    except
    select t.from_status::text from private.refund_transitions as t
    $$,
    array['refunded', 'cancelled'], 'a refund ends refunded or cancelled'
);
select set_eq(
    $$select tests.reached('refund', 'failed')$$, array['refunded'],
    'after a failure nothing but the money itself is news'
);
select set_eq(
    $$
    select m.from_status || ' -> ' || m.to_status from tests.moves as m
    where m.subject = 'refund' and m.from_status in (select tests.reached('refund', m.to_status))
    $$,
    array['pending -> processing', 'processing -> pending'],
    'the only way back is that of a refund that was not taken'
);

-- the guards that enforce it stand on all three tables, for every way in
select results_eq(
    $$
    select t.tgrelid::regclass::text, pg_get_triggerdef(t.oid)
    from pg_catalog.pg_trigger as t
    where t.tgname like '%_50_check_transition'
    order by 1
    $$,
    $$
    values
    ('private.sync_runs', 'CREATE TRIGGER sync_runs_50_check_transition BEFORE INSERT OR UPDATE OF '
        'status ON private.sync_runs FOR EACH ROW EXECUTE FUNCTION '
        'private.tg_sync_runs__check_transition()'),
    ('public.orders', 'CREATE TRIGGER orders_50_check_transition BEFORE INSERT OR UPDATE OF '
        'status, payment_status ON public.orders FOR EACH ROW EXECUTE FUNCTION '
        'private.tg_orders__check_transition()'),
    ('public.payments', 'CREATE TRIGGER payments_50_check_transition BEFORE INSERT OR UPDATE OF '
        'status ON public.payments FOR EACH ROW EXECUTE FUNCTION '
        'private.tg_payments__check_transition()'),
    ('public.refunds', 'CREATE TRIGGER refunds_50_check_transition BEFORE INSERT OR UPDATE OF '
        'status ON public.refunds FOR EACH ROW EXECUTE FUNCTION '
        'private.tg_refunds__check_transition()')
    $$,
    'a guard stands before every insert and every change of a status'
);
select set_eq(
    $$
    select p.oid::regprocedure::text
    from pg_catalog.pg_proc as p
    where p.pronamespace in (
        'public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace
    )
    and p.prosrc ~ '(order|payment|refund|sync)_transitions'
    $$,
    array[
        'private.tg_orders__check_transition()', 'private.tg_payments__check_transition()',
        'private.tg_refunds__check_transition()', 'private.tg_sync_runs__check_transition()'
    ],
    'and nothing else decides about moves'
);

-- a superuser's update meets them as well
select tests.make_user('amina');
select tests.make_product('shoe');
select tests.place_order('o1', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.remember();
select tests.refuses(
    format('update public.orders set status = %L where id = tests.id(''o1'')', s),
    'PT409 order_transition_refused', 'an order is not simply ' || s, 'pending -> ' || s
)
from unnest(array['shipped', 'delivered']) as s;
select tests.refuses(
    $$
    insert into public.orders
    select (jsonb_populate_record(
        o, jsonb_build_object(
            'id', gen_random_uuid(), 'order_number', 'MG-test', 'status', s, 'paid_at', now(),
            'shipped_at', now(), 'delivered_at', now()
        )
    )).*
    from public.orders as o, unnest(array['paid']) as s
    where o.id = tests.id('o1')
    $$,
    'PT409 order_transition_refused', 'no order is born paid', 'paid / pending'
);
select tests.nothing_changed('and nothing of it happened');

select * from finish();
rollback;
