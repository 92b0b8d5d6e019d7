-- Every (from, to) pair of a payment's status, for every role, with the gateway's evidence fresh,
-- stale and missing. The list is written by hand: an attempt only moves forward, money that arrived
-- stays arrived, and only a fresh answer of the gateway makes it arrive.
begin;
\ir ../_helpers.psql
select plan(454);

select tests.make_user('amina');

create table tests.moves (
    from_status text, to_status text, outcome text,
    primary key (from_status, to_status)
);
insert into tests.moves values
('pending', 'pending', 'stays'),
('pending', 'processing', 'moves'),
('pending', 'paid', 'moves on evidence'),
('pending', 'failed', 'moves'),
('pending', 'cancelled', 'moves'),
('pending', 'partially_refunded', 'refused'),
('pending', 'refunded', 'refused'),
('processing', 'pending', 'refused'),
('processing', 'processing', 'stays'),
('processing', 'paid', 'moves on evidence'),
('processing', 'failed', 'moves'),
('processing', 'cancelled', 'moves'),
('processing', 'partially_refunded', 'refused'),
('processing', 'refunded', 'refused'),
('paid', 'pending', 'refused'),
('paid', 'processing', 'refused'),
('paid', 'paid', 'stays'),
('paid', 'failed', 'refused'),
('paid', 'cancelled', 'refused'),
('paid', 'partially_refunded', 'moves'),
('paid', 'refunded', 'moves'),
-- a gateway may say failed and then find the money
('failed', 'pending', 'refused'),
('failed', 'processing', 'refused'),
('failed', 'paid', 'moves on evidence'),
('failed', 'failed', 'stays'),
('failed', 'cancelled', 'refused'),
('failed', 'partially_refunded', 'refused'),
('failed', 'refunded', 'refused'),
('cancelled', 'pending', 'refused'),
('cancelled', 'processing', 'refused'),
('cancelled', 'paid', 'moves on evidence'),
('cancelled', 'failed', 'refused'),
('cancelled', 'cancelled', 'stays'),
('cancelled', 'partially_refunded', 'refused'),
('cancelled', 'refunded', 'refused'),
('partially_refunded', 'pending', 'refused'),
('partially_refunded', 'processing', 'refused'),
('partially_refunded', 'paid', 'refused'),
('partially_refunded', 'failed', 'refused'),
('partially_refunded', 'cancelled', 'refused'),
('partially_refunded', 'partially_refunded', 'stays'),
('partially_refunded', 'refunded', 'moves'),
('refunded', 'pending', 'refused'),
('refunded', 'processing', 'refused'),
('refunded', 'paid', 'refused'),
('refunded', 'failed', 'refused'),
('refunded', 'cancelled', 'refused'),
('refunded', 'partially_refunded', 'refused'),
('refunded', 'refunded', 'stays');

-- What has gone back of 5000 in each state.
create function tests.given_back(status text) returns numeric
language sql immutable as $$
    select case status when 'partially_refunded' then 1000 when 'refunded' then 5000 else 0 end
$$;

-- An attempt put into a state behind the guard's back, on an order of its own.
create function tests.payment_in(status text) returns uuid
language plpgsql as $$
declare
    v_order_id uuid := gen_random_uuid();
    v_id uuid := gen_random_uuid();
begin
    perform set_config('session_replication_role', 'replica', true);
    insert into public.orders (
        id, user_id, country, currency, language, subtotal_price, total_price, shipping_address,
        expires_at
    )
    values (
        v_order_id, tests.id('amina'), 'CM', 'XAF', 'en', 5000, 5000, '{}',
        now() + interval '30 minutes'
    );
    insert into public.payments (
        id, order_id, user_id, gateway, method, reference, amount, currency, status, paid_at,
        refunded_amount
    )
    values (
        v_id, v_order_id, tests.id('amina'), 'kora', 'kora_checkout',
        'mg-' || replace(left(v_id::text, 24), '-', ''), 5000, 'XAF',
        payment_in.status::public.payment_status,
        case when payment_in.status in ('paid', 'partially_refunded', 'refunded') then now() end,
        tests.given_back(payment_in.status)
    );
    perform set_config('session_replication_role', 'origin', true);
    return v_id;
end
$$;

create function tests.try_move(
    role_name text, from_status text, to_status text, evidence_at timestamptz
)
returns text
language plpgsql as $$
declare
    v_id uuid := tests.payment_in(from_status);
    v_failure tests.failure;
    v_now text;
begin
    perform tests.become(
        role_name, jsonb_build_object('sub', tests.id('amina'), 'role', role_name)
    );
    v_failure := tests.attempt(format(
        'update public.payments set status = %1$L, evidence_at = %2$L, refunded_amount = %4$s, '
        'paid_at = case when %1$L in (''paid'', ''partially_refunded'', ''refunded'') '
        'then now() end where id = %3$L',
        to_status, evidence_at, v_id, tests.given_back(to_status)
    ));
    perform tests.act_as_owner();
    select p.status::text into v_now from public.payments as p where p.id = v_id;

    return case
        when v_failure.state = '42501' and v_now = from_status then 'denied'
        when concat_ws(' ', v_failure.state, v_failure.hint) = 'PT409 payment_transition_refused'
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
       from unnest(enum_range(null::public.payment_status)) as f
       cross join unnest(enum_range(null::public.payment_status)) as t $$,
    $$ select from_status, to_status from tests.moves $$,
    'the list above names every pair of payment_status'
);
select set_eq(
    $$ select from_status::text, to_status::text, needs_evidence
       from private.payment_transitions where subject = 'payment' $$,
    $$ select from_status, to_status, outcome = 'moves on evidence'
       from tests.moves where outcome like 'moves%' $$,
    'payment_transitions holds exactly the moves of the list, with evidence where it is needed'
);

-- Roles without a right move nothing --------------------------------------------------------------

select is(
    (select count(*) from tests.moves as m
     where tests.try_move(r.role_name, m.from_status, m.to_status, now()) = 'denied'),
    49::bigint,
    format('%s can try none of the 49 pairs', r.role_name)
)
from unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
with ordinality as r (role_name, place)
order by r.place;

-- Whoever has the right is held to the list -------------------------------------------------------
-- when the API key's role is given the right that it does not have
grant update on public.payments to service_role;

select is(
    tests.try_move(r.role_name, m.from_status, m.to_status, e.evidence_at),
    case
        when m.outcome <> 'moves on evidence' then m.outcome
        when e.title = 'fresh' then 'moves'
        else 'refused'
    end,
    format('%s: payments.status %s -> %s on %s evidence: %s',
        r.title, m.from_status, m.to_status, e.title, m.outcome)
)
from tests.moves as m
cross join (
    values ('postgres', 'owner'), ('service_role', 'service_role'), ('none', 'superuser')
) as r (role_name, title)
cross join (
    values ('no', null::timestamptz), ('stale', now() - interval '1 microsecond'), ('fresh', now())
) as e (title, evidence_at)
order by r.role_name, m.from_status, m.to_status, e.title;

-- An attempt begins pending -----------------------------------------------------------------------

create function tests.try_insert(status text) returns text
language sql as $$
    select concat_ws(' ', (f).state, (f).hint, (f).detail)
    from tests.attempt(format(
        'insert into public.payments (order_id, user_id, gateway, method, reference, amount, '
        'currency, status, evidence_at, paid_at, refunded_amount) select p.order_id, p.user_id, '
        '''mtn'', ''mtn_momo'', p.reference, 5000, ''XAF'', %1$L, now(), case when %1$L in '
        '(''paid'', ''partially_refunded'', ''refunded'') then now() end, %3$s '
        'from public.payments as p where p.id = %2$L',
        try_insert.status, tests.payment_in('pending'), tests.given_back(try_insert.status)
    )) as f
$$;

select is(
    tests.try_insert(s::text),
    case s when 'pending' then '' else 'PT409 payment_transition_refused ' || s end,
    format('an attempt is %s when it is inserted as %s',
        case s when 'pending' then 'taken' else 'refused' end, s)
)
from unnest(enum_range(null::public.payment_status)) as s;

select * from finish();
rollback;
