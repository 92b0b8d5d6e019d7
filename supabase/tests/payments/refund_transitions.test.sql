-- Every (from, to) pair of a refund's status, for every role. The list is written by hand: money
-- that went back stays away, what was given up ends, and only what the rail surely did not take is
-- sent anew.
begin;
\ir ../_helpers.psql
\ir _payments.psql
select plan(86);

-- given a paid order
select tests.make_user('amina', 'fr', 'CM');
select tests.make_product('shoe');
select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('payment', 'order'));
select count(tests.apply('payment', 'paid'));

create table tests.moves (
    from_status text, to_status text, outcome text,
    primary key (from_status, to_status)
);
insert into tests.moves values
('pending', 'pending', 'stays'),
('pending', 'processing', 'moves'),
('pending', 'refunded', 'moves'),
('pending', 'failed', 'moves'),
('pending', 'cancelled', 'moves'),
-- the rail surely did not take it: it is sent anew
('processing', 'pending', 'moves'),
('processing', 'processing', 'stays'),
('processing', 'refunded', 'moves'),
('processing', 'failed', 'moves'),
('processing', 'cancelled', 'refused'),
('refunded', 'pending', 'refused'),
('refunded', 'processing', 'refused'),
('refunded', 'refunded', 'stays'),
('refunded', 'failed', 'refused'),
('refunded', 'cancelled', 'refused'),
-- a gateway may say failed and give the money back after all
('failed', 'pending', 'refused'),
('failed', 'processing', 'refused'),
('failed', 'refunded', 'moves'),
('failed', 'failed', 'stays'),
('failed', 'cancelled', 'refused'),
('cancelled', 'pending', 'refused'),
('cancelled', 'processing', 'refused'),
('cancelled', 'refunded', 'refused'),
('cancelled', 'failed', 'refused'),
('cancelled', 'cancelled', 'stays');

-- A refund put into a state behind the guard's back.
create function tests.refund_in(status text) returns uuid
language plpgsql as $$
declare
    v_id uuid := gen_random_uuid();
begin
    perform set_config('session_replication_role', 'replica', true);
    insert into public.refunds (
        id, payment_id, order_id, user_id, gateway, way, amount, currency, status, reason,
        sent_at, refunded_at
    )
    values (
        v_id, tests.id('payment'), tests.id('order'), tests.id('amina'), 'kora', 'gateway', 1,
        'XAF', refund_in.status::public.refund_status, 'test', now(),
        case when refund_in.status = 'refunded' then now() end
    );
    perform set_config('session_replication_role', 'origin', true);
    return v_id;
end
$$;

create function tests.try_move(role_name text, from_status text, to_status text) returns text
language plpgsql as $$
declare
    v_id uuid := tests.refund_in(from_status);
    v_failure tests.failure;
    v_now text;
begin
    perform tests.become(
        role_name, jsonb_build_object('sub', tests.id('amina'), 'role', role_name)
    );
    v_failure := tests.attempt(format(
        'update public.refunds set status = %1$L, '
        'refunded_at = case when %1$L = ''refunded'' then now() end where id = %2$L',
        to_status, v_id
    ));
    perform tests.act_as_owner();
    select r.status::text into v_now from public.refunds as r where r.id = v_id;

    return case
        when v_failure.state = '42501' and v_now = from_status then 'denied'
        when concat_ws(' ', v_failure.state, v_failure.hint) = 'PT409 refund_transition_refused'
            and v_failure.detail = from_status || ' -> ' || to_status
            and v_now = from_status then 'refused'
        when v_failure.state is null and from_status = to_status and v_now = to_status then 'stays'
        when v_failure.state is null and v_now = to_status then 'moves'
        else format('%s, now %s', v_failure, v_now)
    end;
end
$$;

-- The list is whole, and the table says the same --------------------------------------------------

select set_eq(
    $$ select f::text, t::text
       from unnest(enum_range(null::public.refund_status)) as f
       cross join unnest(enum_range(null::public.refund_status)) as t $$,
    $$ select from_status, to_status from tests.moves $$,
    'the list above names every pair of refund_status'
);
select set_eq(
    $$ select from_status::text, to_status::text from private.refund_transitions $$,
    $$ select from_status, to_status from tests.moves where outcome = 'moves' $$,
    'refund_transitions holds exactly the moves of the list'
);

-- Roles without a right move nothing --------------------------------------------------------------

select is(
    (select count(*) from tests.moves as m
     where tests.try_move(r.role_name, m.from_status, m.to_status) = 'denied'),
    25::bigint,
    format('%s can try none of the 25 pairs', r.role_name)
)
from unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
with ordinality as r (role_name, place)
order by r.place;

-- Whoever has the right is held to the list -------------------------------------------------------
-- when the API key's role is given the right that it does not have
grant update on public.refunds to service_role;

select is(
    tests.try_move(r.role_name, m.from_status, m.to_status), m.outcome,
    format('%s: refunds.status %s -> %s: %s', r.title, m.from_status, m.to_status, m.outcome)
)
from tests.moves as m
cross join (
    values ('postgres', 'owner'), ('service_role', 'service_role'), ('none', 'superuser')
) as r (role_name, title)
order by r.role_name, m.from_status, m.to_status;

-- A refund begins pending -------------------------------------------------------------------------

create function tests.try_insert(status text) returns text
language sql as $$
    select concat_ws(' ', (f).state, (f).hint, (f).detail)
    from tests.attempt(format(
        'insert into public.refunds (payment_id, order_id, user_id, gateway, way, amount, '
        'currency, status, reason, sent_at, refunded_at) select p.id, p.order_id, p.user_id, '
        '''kora'', ''gateway'', 1, ''XAF'', %1$L, ''test'', now(), '
        'case when %1$L = ''refunded'' then now() end '
        'from public.payments as p where p.id = tests.id(''payment'')',
        try_insert.status
    )) as f
$$;

select is(
    tests.try_insert(s::text),
    case s when 'pending' then '' else 'PT409 refund_transition_refused ' || s end,
    format('a refund is %s when it is inserted as %s',
        case s when 'pending' then 'taken' else 'refused' end, s)
)
from unnest(enum_range(null::public.refund_status)) as s;

select * from finish();
rollback;
