-- Every (from, to) pair of order_status, and of payment_status as an order has it, for every role.
-- The lists below are written by hand, from what a shop may do, not from the transition tables.
begin;
\ir ../_helpers.psql
select plan(247);

select tests.make_user('amina');

create table tests.moves (
    subject text, from_status text, to_status text, outcome text,
    primary key (subject, from_status, to_status)
);
insert into tests.moves values
('status', 'pending', 'pending', 'stays'),
('status', 'pending', 'paid', 'moves'),
('status', 'pending', 'shipped', 'refused'),
('status', 'pending', 'delivered', 'refused'),
('status', 'pending', 'cancelled', 'moves'),
('status', 'paid', 'pending', 'refused'),
('status', 'paid', 'paid', 'stays'),
('status', 'paid', 'shipped', 'moves'),
('status', 'paid', 'delivered', 'refused'),
('status', 'paid', 'cancelled', 'moves'),
('status', 'shipped', 'pending', 'refused'),
('status', 'shipped', 'paid', 'refused'),
('status', 'shipped', 'shipped', 'stays'),
('status', 'shipped', 'delivered', 'moves'),
('status', 'shipped', 'cancelled', 'refused'),
('status', 'delivered', 'pending', 'refused'),
('status', 'delivered', 'paid', 'refused'),
('status', 'delivered', 'shipped', 'refused'),
('status', 'delivered', 'delivered', 'stays'),
('status', 'delivered', 'cancelled', 'refused'),
('status', 'cancelled', 'pending', 'refused'),
('status', 'cancelled', 'paid', 'refused'),
('status', 'cancelled', 'shipped', 'refused'),
('status', 'cancelled', 'delivered', 'refused'),
('status', 'cancelled', 'cancelled', 'stays'),

('payment_status', 'pending', 'pending', 'stays'),
('payment_status', 'pending', 'processing', 'moves'),
('payment_status', 'pending', 'paid', 'moves'),
('payment_status', 'pending', 'failed', 'moves'),
('payment_status', 'pending', 'cancelled', 'moves'),
('payment_status', 'pending', 'partially_refunded', 'refused'),
('payment_status', 'pending', 'refunded', 'refused'),
('payment_status', 'processing', 'pending', 'refused'),
('payment_status', 'processing', 'processing', 'stays'),
('payment_status', 'processing', 'paid', 'moves'),
('payment_status', 'processing', 'failed', 'moves'),
('payment_status', 'processing', 'cancelled', 'moves'),
('payment_status', 'processing', 'partially_refunded', 'refused'),
('payment_status', 'processing', 'refunded', 'refused'),
('payment_status', 'paid', 'pending', 'refused'),
('payment_status', 'paid', 'processing', 'refused'),
('payment_status', 'paid', 'paid', 'stays'),
('payment_status', 'paid', 'failed', 'refused'),
('payment_status', 'paid', 'cancelled', 'refused'),
('payment_status', 'paid', 'partially_refunded', 'moves'),
('payment_status', 'paid', 'refunded', 'moves'),
-- a new attempt may follow one that failed or was given up
('payment_status', 'failed', 'pending', 'refused'),
('payment_status', 'failed', 'processing', 'moves'),
('payment_status', 'failed', 'paid', 'moves'),
('payment_status', 'failed', 'failed', 'stays'),
('payment_status', 'failed', 'cancelled', 'refused'),
('payment_status', 'failed', 'partially_refunded', 'refused'),
('payment_status', 'failed', 'refunded', 'refused'),
('payment_status', 'cancelled', 'pending', 'refused'),
('payment_status', 'cancelled', 'processing', 'moves'),
('payment_status', 'cancelled', 'paid', 'moves'),
('payment_status', 'cancelled', 'failed', 'refused'),
('payment_status', 'cancelled', 'cancelled', 'stays'),
('payment_status', 'cancelled', 'partially_refunded', 'refused'),
('payment_status', 'cancelled', 'refunded', 'refused'),
('payment_status', 'partially_refunded', 'pending', 'refused'),
('payment_status', 'partially_refunded', 'processing', 'refused'),
('payment_status', 'partially_refunded', 'paid', 'refused'),
('payment_status', 'partially_refunded', 'failed', 'refused'),
('payment_status', 'partially_refunded', 'cancelled', 'refused'),
('payment_status', 'partially_refunded', 'partially_refunded', 'stays'),
('payment_status', 'partially_refunded', 'refunded', 'moves'),
('payment_status', 'refunded', 'pending', 'refused'),
('payment_status', 'refunded', 'processing', 'refused'),
('payment_status', 'refunded', 'paid', 'refused'),
('payment_status', 'refunded', 'failed', 'refused'),
('payment_status', 'refunded', 'cancelled', 'refused'),
('payment_status', 'refunded', 'partially_refunded', 'refused'),
('payment_status', 'refunded', 'refunded', 'stays');

-- An order put into a state behind the guard's back, so that nothing here leans on what it tests.
create function tests.order_in(status text, payment_status text) returns uuid
language plpgsql as $$
declare
    v_id uuid := gen_random_uuid();
begin
    perform set_config('session_replication_role', 'replica', true);
    insert into public.orders (
        id, user_id, status, payment_status, country, currency, language, subtotal_price,
        total_price, shipping_address, expires_at, paid_at, shipped_at, delivered_at,
        cancelled_at, cancel_reason
    )
    values (
        v_id, tests.id('amina'), order_in.status::public.order_status,
        order_in.payment_status::public.payment_status, 'CM', 'XAF', 'en', 5000, 5000, '{}',
        now() + interval '30 minutes', now(), now(), now(),
        case when order_in.status = 'cancelled' then now() end,
        case when order_in.status = 'cancelled' then 'test' end
    );
    perform set_config('session_replication_role', 'origin', true);
    return v_id;
end
$$;

-- stays and moves: the row is so afterwards, with one event for a move of status and none else.
-- refused: by the transition guard, the row as it was and no event. denied: no right to try.
create function tests.try_move(role_name text, subject text, from_status text, to_status text)
returns text
language plpgsql as $$
declare
    v_id uuid := tests.order_in(
        case when subject = 'status' then from_status else 'pending' end,
        case when subject = 'status' then 'pending' else from_status end
    );
    v_failure tests.failure;
    v_now text;
    v_events bigint;
begin
    perform tests.become(
        role_name, jsonb_build_object('sub', tests.id('amina'), 'role', role_name)
    );
    v_failure := tests.attempt(case subject
        when 'status' then format(
            'update public.orders set status = %1$L, '
            'cancelled_at = case when %1$L = ''cancelled'' then now() end, '
            'cancel_reason = case when %1$L = ''cancelled'' then ''test'' end where id = %2$L',
            to_status, v_id
        )
        else format(
            'update public.orders set payment_status = %L where id = %L', to_status, v_id
        )
    end);
    perform tests.act_as_owner();
    select case subject when 'status' then o.status::text else o.payment_status::text end
    into v_now
    from public.orders as o
    where o.id = v_id;
    select count(*) into v_events
    from public.order_events as e
    where e.order_id = v_id
        and (e.kind, e.from_status::text, e.to_status::text)
        = (try_move.to_status, try_move.from_status, try_move.to_status);

    return case
        when v_failure.state = '42501' and v_now = from_status then 'denied'
        when concat_ws(' ', v_failure.state, v_failure.hint) = case subject
            when 'status' then 'PT409 order_transition_refused'
            else 'PT409 payment_transition_refused' end
            and v_failure.detail = from_status || ' -> ' || to_status
            and v_now = from_status and v_events = 0 then 'refused'
        when v_failure.state is null and from_status = to_status and v_now = to_status
            and v_events = 0 then 'stays'
        when v_failure.state is null and from_status <> to_status and v_now = to_status
            and v_events = case subject when 'status' then 1 else 0 end then 'moves'
        else format('%s, now %s, %s events', v_failure, v_now, v_events)
    end;
end
$$;

-- The lists are whole, and the tables say the same ------------------------------------------------

select set_eq(
    $$ select 'status', f::text, t::text
       from unnest(enum_range(null::public.order_status)) as f
       cross join unnest(enum_range(null::public.order_status)) as t
       union all
       select 'payment_status', f::text, t::text
       from unnest(enum_range(null::public.payment_status)) as f
       cross join unnest(enum_range(null::public.payment_status)) as t $$,
    $$ select subject, from_status, to_status from tests.moves $$,
    'the lists above name every pair of both enums'
);
select set_eq(
    $$ select from_status::text, to_status::text from private.order_transitions $$,
    $$ select from_status, to_status from tests.moves
       where subject = 'status' and outcome = 'moves' $$,
    'order_transitions holds exactly the moves of the list'
);
select set_eq(
    $$ select from_status::text, to_status::text from private.payment_transitions
       where subject = 'order' $$,
    $$ select from_status, to_status from tests.moves
       where subject = 'payment_status' and outcome = 'moves' $$,
    'payment_transitions holds exactly the moves of the list for an order'
);

-- Roles without a right move nothing --------------------------------------------------------------

select is(
    (select count(*) from tests.moves as m
     where tests.try_move(r.role_name, m.subject, m.from_status, m.to_status) = 'denied'),
    74::bigint,
    format('%s can try none of the 74 pairs', r.role_name)
)
from unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
with ordinality as r (role_name, place)
order by r.place;

-- Whoever has the right is held to the list -------------------------------------------------------
-- when the API key's role is given the right that it does not have
grant update on public.orders to service_role;

select is(
    tests.try_move(r.role_name, m.subject, m.from_status, m.to_status),
    m.outcome,
    format('%s: orders.%s %s -> %s %s', r.title, m.subject, m.from_status, m.to_status, m.outcome)
)
from tests.moves as m
cross join (
    values ('postgres', 'owner'), ('service_role', 'service_role'), ('none', 'superuser')
) as r (role_name, title)
order by r.role_name, m.subject desc, m.from_status, m.to_status;

-- An order begins pending -------------------------------------------------------------------------

create function tests.try_insert(status text, payment_status text) returns text
language sql as $$
    select concat_ws(' ', (f).state, (f).hint, (f).detail)
    from tests.attempt(format(
        'insert into public.orders (user_id, status, payment_status, country, currency, language, '
        'subtotal_price, total_price, shipping_address, expires_at, paid_at, shipped_at, '
        'delivered_at, cancelled_at, cancel_reason) values (tests.id(''amina''), %1$L, %2$L, '
        '''CM'', ''XAF'', ''en'', 5000, 5000, ''{}'', now(), now(), now(), now(), '
        'case when %1$L = ''cancelled'' then now() end, '
        'case when %1$L = ''cancelled'' then ''test'' end)',
        try_insert.status, try_insert.payment_status
    )) as f
$$;

select is(
    tests.try_insert(s::text, 'pending'),
    case s when 'pending' then '' else 'PT409 order_transition_refused ' || s || ' / pending' end,
    format('an order is %s when it is inserted as %s',
        case s when 'pending' then 'taken' else 'refused' end, s)
)
from unnest(enum_range(null::public.order_status)) as s;
select is(
    tests.try_insert('pending', s::text),
    'PT409 order_transition_refused pending / ' || s,
    format('an order is refused when it is inserted with payment_status %s', s)
)
from unnest(enum_range(null::public.payment_status)) as s
where s <> 'pending';

-- Status and its times are one --------------------------------------------------------------------

select tests.violates(
    format('update public.orders set status = %L, %s where id = %L',
        c.to_status, c.assignment, tests.order_in(c.from_status, 'pending')),
    c.constraint_name,
    c.title
)
from (
    values
    ('pending', 'paid', 'paid_at = null', 'orders_paid_has_time', 'a paid order has paid_at'),
    ('paid', 'shipped', 'shipped_at = null', 'orders_shipped_has_time',
        'a shipped order has shipped_at'),
    ('shipped', 'delivered', 'delivered_at = null', 'orders_delivered_has_time',
        'a delivered order has delivered_at'),
    ('pending', 'cancelled', 'cancelled_at = now()', 'orders_cancelled_has_time_and_reason',
        'a cancelled order has a reason'),
    ('pending', 'cancelled', 'cancel_reason = ''x''', 'orders_cancelled_has_time_and_reason',
        'a cancelled order has cancelled_at'),
    ('pending', 'paid', 'cancelled_at = now(), cancel_reason = ''x''',
        'orders_cancelled_has_time_and_reason', 'only a cancelled order has a reason'),
    ('pending', 'pending', 'expires_at = null', 'orders_pending_has_expiry',
        'a pending order holds its stock until a time')
) as c (from_status, to_status, assignment, constraint_name, title);

select * from finish();
rollback;
